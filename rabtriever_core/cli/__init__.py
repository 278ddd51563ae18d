"""The command line: one command per step, the same library calls as everywhere else.

The steps are the `cmd` of dvc.yaml's stages, so nothing here calls DVC while a stage runs.
"""

from rabtriever_core.cli.application import app, main

# Each registers its commands with the app, in the order in which `--help` lists them.
from rabtriever_core.cli import (  # isort: skip
    pipeline,  # noqa: F401
    importing,  # noqa: F401
    fetch_model,  # noqa: F401
    status,  # noqa: F401
    asking,  # noqa: F401
    explaining,  # noqa: F401
    evaluating,  # noqa: F401
    exporting,  # noqa: F401
    serve,  # noqa: F401
    releases,  # noqa: F401
    tracking,  # noqa: F401
    reports,  # noqa: F401
    lab,  # noqa: F401
    lab_results,  # noqa: F401
    lab_measuring,  # noqa: F401
    lab_towers,  # noqa: F401
)

__all__ = ["app", "main"]
