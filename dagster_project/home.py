"""Prepare a DAGSTER_HOME: `python -m dagster_project.home FOLDER`.

Without one, Dagster keeps no history and ignores concurrency pools.
"""

import shutil
import sys
from pathlib import Path

TEMPLATE = Path(__file__).with_name("dagster.yaml")


def install_dagster_home(folder: Path) -> Path:
    """Make a folder a Dagster instance; an edited dagster.yaml stays. Returns its absolute path."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / TEMPLATE.name
    if not target.exists():
        shutil.copyfile(TEMPLATE, target)
    return folder


if __name__ == "__main__":
    install_dagster_home(Path(sys.argv[1]))
