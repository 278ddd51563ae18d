"""Arrays on their way to where a model computes."""

from typing import TYPE_CHECKING, Any

import numpy.typing as npt

if TYPE_CHECKING:
    import torch


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
