"""Schedules, a set per workspace; off unless its `automation` in params.yaml switches them on."""

import dagster as dg

from dagster_project.defs.jobs import canary_watch, full_pipeline, reindex
from dagster_project.defs.resources import PARTITION_TAG
from dagster_project.policy import AUTOMATION
from dagster_project.workspaces import SINGLE, own_name
from rabtriever_core.config import AutomationConfig


def schedules_of(workspace: str, automation: AutomationConfig) -> list[dg.ScheduleDefinition]:
    """The schedules of one workspace, under its name where there are several."""

    def at(
        name: str, job_name: str, cron: str, on: bool, description: str
    ) -> dg.ScheduleDefinition:
        @dg.schedule(
            name=own_name(name, workspace),
            job_name=job_name,
            cron_schedule=cron,
            execution_timezone="UTC",
            default_status=dg.DefaultScheduleStatus.RUNNING
            if on
            else dg.DefaultScheduleStatus.STOPPED,
            description=description,
        )
        def schedule() -> dg.RunRequest:
            if workspace == SINGLE:
                return dg.RunRequest()
            if job_name == canary_watch.name:
                # A job of checks alone has no partitions of its own in Dagster 1.13: its runs get
                # the tag that a partition would give them.
                return dg.RunRequest(tags={PARTITION_TAG: workspace})
            return dg.RunRequest(partition_key=workspace)

        return schedule

    return [
        at(
            "weekly_retraining",
            full_pipeline.name,
            automation.retrain_cron,
            automation.retrain_enabled,
            "Run the whole chain on the data as they are then.",
        ),
        at(
            "nightly_reindex",
            reindex.name,
            automation.reindex_cron,
            automation.reindex_enabled,
            "Embed and release anew with the models there are.",
        ),
        at(
            "canaries",
            canary_watch.name,
            automation.canary_cron,
            automation.canary_enabled,
            "Ask the served release the team's canary queries.",
        ),
    ]


schedules = [
    schedule
    for workspace, automation in AUTOMATION.items()
    for schedule in schedules_of(workspace, automation)
]
