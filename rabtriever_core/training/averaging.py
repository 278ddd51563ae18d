"""Weights between those a stage starts from and those it ends with (WiSE-FT, arXiv 2109.01903)."""

import torch


@torch.no_grad()
def average_with_start(
    trained: torch.nn.Module, start: torch.nn.Module, share_of_start: float
) -> None:
    """Move weights a share of the way back to where training started (in place).

    Args:
        trained: of the same shape as `start`.
        start: the weights before; left as they are.
        share_of_start: 0 leaves what was trained, 1 would undo it.
    """
    before = dict(start.named_parameters())
    # Weights that are tied are listed once, and so averaged once.
    for name, after in trained.named_parameters():
        mean = torch.lerp(after.float(), before[name].to(after.device).float(), share_of_start)
        after.copy_(mean)
