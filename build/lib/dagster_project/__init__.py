"""The orchestration: Dagster assets, checks, jobs and schedules around `rabtriever_core`."""

import os

from rabtriever_core.workspace.access import become_somebody

become_somebody()
# Bars of transformers and its hub would fill the logs of runs.
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
