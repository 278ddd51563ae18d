"""The pipeline's stages: what each reads, which settings shape it, and how it is run.

One table serves all three doors: `run_stage` (library), `rabtriever run <stage>` (command line,
and the `cmd` of dvc.yaml) and the Dagster assets.
"""

from rabtriever_core.stages.context import StageContext
from rabtriever_core.stages.registry import STAGES, Stage, stage_named
from rabtriever_core.stages.run import run_stage

__all__ = ["STAGES", "Stage", "StageContext", "run_stage", "stage_named"]
