"""The orchestration: Dagster assets, checks, jobs and schedules around `rabtriever_core`."""
