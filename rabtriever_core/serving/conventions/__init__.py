"""The requests of other services, so that their clients can ask this one."""
