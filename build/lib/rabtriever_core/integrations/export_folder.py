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
        ConfigError: there is something that is no such export.
    """
    folder = folder.absolute()
    ours = folder.is_dir() and ((folder / marker).is_file() or not any(folder.iterdir()))
    if folder.exists() and not ours:
        raise ConfigError(f"{folder} holds something that is no export: name another folder")
    # Beside its place: a folder for temporary files may lie on another disk.
    written = folder.with_name(f".{folder.name}.unfinished-export")
    shutil.rmtree(written, ignore_errors=True)
    written.mkdir(parents=True)
    try:
        yield written
        replace_folder(written, folder)
    finally:
        shutil.rmtree(written, ignore_errors=True)
