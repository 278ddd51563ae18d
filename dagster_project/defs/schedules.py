"""Schedules; off unless `automation` in params.yaml switches them on."""

import dagster as dg

from dagster_project.defs.jobs import full_pipeline
from dagster_project.policy import AUTOMATION

weekly_retraining = dg.ScheduleDefinition(
    name="weekly_retraining",
    job=full_pipeline,
    cron_schedule=AUTOMATION.retrain_cron,
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING
    if AUTOMATION.retrain_enabled
    else dg.DefaultScheduleStatus.STOPPED,
    description="Run the whole chain on the data as they are then.",
)
