"""How models multiply: what `runtime.precision` means on the machine that there is."""

import logging
import time
from functools import cache
from typing import TYPE_CHECKING, Any

from rabtriever_core.config import RuntimeConfig

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

_WORTH_IT = 1.5
"""Times as fast as float32 that bfloat16 must be."""
_HOPELESS = 10
"""Times as slow that bfloat16 is not tried again: there it takes longest."""
_ROWS, _ROUNDS = 512, 8


def trains_mixed(runtime: RuntimeConfig, model: Any) -> bool:
    """Whether a model multiplies in bfloat16 while it is trained; its weights stay float32.

    With `auto`, where that is clearly faster on this machine at the model's width.

    Args:
        runtime: the settings.
        model: of `transformers`, on its device.
    """
    if runtime.precision != "auto":
        return runtime.precision == "mixed"
    width = int(model.config.get_text_config().hidden_size)
    return _bfloat16_pays(model.device.type, width)


def rounds_products(runtime: RuntimeConfig, device: str) -> bool:
    """Whether an NVIDIA GPU rounds float32 products to tf32, also where nothing is trained."""
    if device != "cuda":
        return False
    if runtime.precision == "auto":
        return _has_bfloat16()
    return runtime.precision in ("tf32", "mixed")


def precision_of(dtype: "torch.dtype", device: "torch.device", *, mixed: bool = False) -> str:
    """What a model computes in, as `runtime.precision` calls it.

    Args:
        dtype: of its weights.
        device: where it lies.
        mixed: whether it multiplies in bfloat16.
    """
    import torch

    if dtype == torch.bfloat16:
        return "bfloat16"
    if mixed:
        return "mixed"
    rounded = device.type == "cuda" and torch.get_float32_matmul_precision() != "highest"
    return "tf32" if rounded else "float32"


def rounding_of(dtype: "torch.dtype", device: "torch.device") -> float:
    """How far apart, relatively, a text's states may be that are computed in two batches.

    A step of bfloat16 or tf32, where a model computes in one of them: batches of two shapes are
    rounded differently.
    """
    return {"bfloat16": 2.0**-8, "tf32": 2.0**-10}.get(precision_of(dtype, device), 0.0)


@cache
def _bfloat16_pays(device: str, width: int) -> bool:
    """Measured once per process: some CPUs are thirty times slower in bfloat16, not faster."""
    if device == "cuda":
        return _has_bfloat16()
    if device != "cpu":
        return False
    faster = _times_as_fast(width)
    pays = faster > _WORTH_IT
    logger.info(
        "runtime.precision is auto: training multiplies in %s (a product of width %d in bfloat16 "
        "is %.1f times as fast here as in float32)",
        "bfloat16" if pays else "float32",
        width,
        faster,
    )
    return pays


def _has_bfloat16() -> bool:
    """Whether the GPU computes in bfloat16, and so in tf32, itself."""
    import torch

    able: bool = torch.cuda.is_bf16_supported(including_emulation=False)
    return able


def _times_as_fast(width: int) -> float:
    """How a layer's product of float32 states and weights gains from rounding them first.

    On one thread and in turns, the best of each: other programs take their share of a machine.
    """
    import torch

    states, weights = torch.ones(_ROWS, width), torch.ones(width, width)
    best = {torch.float32: float("inf"), torch.bfloat16: float("inf")}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            for _ in range(_ROUNDS):
                for dtype in best:
                    start = time.perf_counter()
                    states.to(dtype) @ weights.to(dtype)
                    best[dtype] = min(best[dtype], time.perf_counter() - start)
                if best[torch.bfloat16] > _HOPELESS * best[torch.float32]:
                    break
    finally:
        torch.set_num_threads(threads)
    return best[torch.float32] / best[torch.bfloat16]
