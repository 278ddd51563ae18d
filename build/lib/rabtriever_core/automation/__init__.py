"""What a deployment does by itself: see new data, ask canaries, tell people, compare versions.

Nothing here knows who calls it, or when: Dagster's sensors and schedules do.
"""
