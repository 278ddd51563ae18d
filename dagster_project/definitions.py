"""Everything Dagster knows: the definitions under defs/, where they run, and how."""

import dagster as dg

from dagster_project.defs import assets, checks
from dagster_project.defs.jobs import full_pipeline, reindex, retrain_predictor
from dagster_project.defs.resources import WorkspaceResource, workspace_root
from dagster_project.defs.schedules import weekly_retraining

defs = dg.Definitions(
    assets=dg.load_assets_from_package_module(assets),
    asset_checks=dg.load_asset_checks_from_modules([checks]),
    jobs=[full_pipeline, reindex, retrain_predictor],
    schedules=[weekly_retraining],
    resources={"workspace": WorkspaceResource(root=str(workspace_root()))},
    # A process per step; pools keep those apart that would get in each other's way.
    executor=dg.multiprocess_executor.configured(
        {
            "max_concurrent": 4,
            "start_method": {"forkserver": {"preload_modules": ["dagster_project.definitions"]}},
        }
    ),
)
