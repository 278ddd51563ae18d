"""Prepare a DAGSTER_HOME: `python -m dagster_project.home FOLDER`.

Without one, Dagster keeps no history and ignores concurrency pools.
"""

import os
import sys
from pathlib import Path

from dagster_project.workspaces import SEVERAL

TEMPLATE = Path(__file__).with_name("dagster.yaml")

# Tags that every run has: which of them tells workspaces apart.
_ONE, _EACH = "dagster/code_location", "dagster/partition"


def install_dagster_home(folder: Path) -> Path:
    """Make a folder a Dagster instance; an edited dagster.yaml stays. Returns its absolute path."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / TEMPLATE.name
    text = TEMPLATE.read_text(encoding="utf-8")
    partitioned = text.replace(f"key: {_ONE}", f"key: {_EACH}")
    # What this wrote for the other kind of deployment is no edit.
    if not target.exists() or target.read_text(encoding="utf-8") in (text, partitioned):
        several = bool(os.environ.get(SEVERAL, "").strip())
        target.write_text(partitioned if several else text, encoding="utf-8")
    return folder


if __name__ == "__main__":
    install_dagster_home(Path(sys.argv[1]))
