"""Everything Dagster knows: the definitions under defs/, where they run, and how."""

import dagster as dg

from dagster_project.defs import assets, checks
from dagster_project.defs.jobs import (
    canary_watch,
    compare_data,
    full_pipeline,
    reindex,
    retrain_as_needed,
    retrain_predictor,
)
from dagster_project.defs.resources import WorkspaceResource
from dagster_project.defs.schedules import schedules
from dagster_project.defs.sensors import sensors
from dagster_project.policy import ROOTS
from dagster_project.workspaces import root_config

defs = dg.Definitions(
    assets=dg.load_assets_from_package_module(assets),
    asset_checks=dg.load_asset_checks_from_modules([checks]),
    jobs=[
        full_pipeline,
        retrain_as_needed,
        retrain_predictor,
        reindex,
        canary_watch,
        compare_data,
    ],
    schedules=schedules,
    sensors=sensors,
    resources={"workspace": WorkspaceResource(**root_config(ROOTS))},
    # A process per step; pools keep those apart that would get in each other's way.
    executor=dg.multiprocess_executor.configured(
        {
            "max_concurrent": 4,
            "start_method": {"forkserver": {"preload_modules": ["dagster_project.definitions"]}},
        }
    ),
)
