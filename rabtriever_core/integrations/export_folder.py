"""Where an export goes: a folder written whole or not at all, and never over something else."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rabtriever_core.errors import ConfigError
from rabtriever_core.workspace.artifacts import replace_folder


@contextmanager
def export_folder(folder: Path, marker: str) -> Iterator[Path]:
    """An empty folder to write into, which takes the place of `folder` at the end.

    Args:
        folder: where the export goes; an earlier one there is replaced.
        marker: the file that every export of this kind holds, by which an earlier one is known.

    Raises:
        ConfigError: the folder holds something that is no such export.
    """
    if folder.exists() and not _is_ours(folder, marker):
        raise ConfigError(f"{folder} holds something that is no export: name another folder")
    # Beside its place: another folder might lie on another disk.
    written = folder.with_name(f"{folder.name}.new")
    if written.exists() and not _is_ours(written, marker):
        raise ConfigError(f"{written} is in the way of the export: move it, or export elsewhere")
    shutil.rmtree(written, ignore_errors=True)
    written.mkdir(parents=True)
    # So that what a killed export leaves behind is known by the next one.
    (written / marker).touch()
    try:
        yield written
        replace_folder(written, folder)
    finally:
        shutil.rmtree(written, ignore_errors=True)


def _is_ours(folder: Path, marker: str) -> bool:
    return folder.is_dir() and ((folder / marker).is_file() or not any(folder.iterdir()))
