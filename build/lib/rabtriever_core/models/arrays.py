"""Arrays: their types, rows of length one, and the way to where a model computes."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

Floats = npt.NDArray[np.float32]
"""What models compute and the index stores."""
Reals = npt.NDArray[np.floating]
"""Numbers of any precision, as statistics use them."""


def unit_rows(states: Floats) -> Floats:
    """Rows scaled to length one."""
    unit: Floats = states / np.linalg.norm(states, axis=1, keepdims=True)
    return unit


def to_device(array: npt.NDArray[Any], device: "torch.device") -> "torch.Tensor":
    """An array as a tensor there.

    A GPU is not waited for: an ordinary copy first lets it finish all it was given, and a training
    step that copies often keeps it idle in between.
    """
    import torch

    tensor = torch.from_numpy(array)
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
