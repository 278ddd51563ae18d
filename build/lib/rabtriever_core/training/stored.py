"""Arrays kept beside the checkpoints: what a run computed once, a resumed run reads."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from rabtriever_core.errors import ArtifactError
from rabtriever_core.workspace.artifacts import array_md5
from rabtriever_core.workspace.atomic import replacing

logger = logging.getLogger(__name__)

Arrays = dict[str, npt.NDArray[Any]]
_MD5 = "md5"


def stored_arrays(path: Path, make: Callable[[], Mapping[str, npt.NDArray[Any]]]) -> Arrays:
    """The arrays of a file, made first where it is not there or damaged.

    Written atomically: a killed run finds all of it, or none.

    Args:
        path: a safetensors file.
        make: computes the arrays by name.

    Raises:
        ArtifactError: what was just written reads back otherwise.
    """
    found = _read(path) if path.exists() else None
    if found is None:
        arrays = dict(make())
        with replacing(path) as unfinished:
            # One metadata key only: safetensors does not fix the order of several.
            save_file(arrays, unfinished, metadata={_MD5: _md5(arrays)})
        found = _read(path)
    if found is None:
        raise ArtifactError(f"{path} does not hold what was just written to it: check the disk")
    return found


def _read(path: Path) -> Arrays | None:
    """The arrays of a file; None when it is damaged."""
    try:
        with safe_open(path, framework="numpy") as file:
            arrays: Arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            stated = (file.metadata() or {}).get(_MD5)
    except (SafetensorError, ValueError):
        stated = None
    if stated is None or stated != _md5(arrays):
        logger.warning("%s is damaged: made again", path)
        return None
    return arrays


def _md5(arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    return " ".join(f"{name}={array_md5(arrays[name])}" for name in sorted(arrays))
