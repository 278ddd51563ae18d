"""Arrays kept beside the checkpoints: what a run computed once, a resumed run reads."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt
from safetensors.numpy import load_file, save_file

Arrays = dict[str, npt.NDArray[Any]]


def stored_arrays(path: Path, make: Callable[[], Mapping[str, npt.NDArray[Any]]]) -> Arrays:
    """The arrays of a file, made first where it is not there.

    Written atomically: a killed run finds all of it, or none.

    Args:
        path: a safetensors file.
        make: computes the arrays by name.
    """
    if not path.exists():
        arrays = dict(make())
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        save_file(arrays, unfinished)
        unfinished.replace(path)
    arrays = load_file(path)
    return arrays
