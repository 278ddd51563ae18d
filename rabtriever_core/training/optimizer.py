"""What turns gradients into steps: AdamW, or Muon for the blocks' matrices."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

_MOMENTUM = 0.95
_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_BETAS, _EPSILON = (0.9, 0.999), 1e-8


class Muon(torch.optim.Optimizer):
    """Muon for matrices, AdamW for everything else (Muon: arXiv 2502.16982, section 2.2).

    A matrix's step is its momentum made orthogonal, 0.2 · √(longer side) long per unit of learning
    rate, about as long as AdamW's would be: one learning rate serves both. `torch.optim.Muon` does
    the same for matrices alone, but in bfloat16, which a CPU without such units emulates slowly:
    for a small model that takes longer than the rest of the step.

    Args:
        matrices: parameters [a, b] that turn one hidden state into another.
        rest: all others: embeddings, head, norms, biases.
        lr: learning rate of both.
        weight_decay: decoupled; norms and biases have none.
    """

    def __init__(
        self, matrices: Sequence[Tensor], rest: Sequence[Tensor], lr: float, weight_decay: float
    ) -> None:
        groups = [
            {"params": list(parameters), "orthogonal": orthogonal}
            for parameters, orthogonal in ((matrices, True), (rest, False))
            if parameters
        ]
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step; there is no closure."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                if parameter.ndim > 1:
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                of = self.state[parameter]
                if group["orthogonal"]:
                    direction = _orthogonal_step(parameter.grad, of)
                else:
                    direction = _adam_step(parameter.grad, of)
                parameter.add_(direction, alpha=-group["lr"])


def _orthogonal_step(gradient: Tensor, state: dict[str, Tensor]) -> Tensor:
    if not state:
        state["momentum"] = torch.zeros_like(gradient)
    momentum = state["momentum"].lerp_(gradient, 1 - _MOMENTUM)
    looking_ahead = gradient.lerp(momentum, _MOMENTUM)
    length: float = 0.2 * max(gradient.shape) ** 0.5
    return length * orthogonalized(looking_ahead)


def _adam_step(gradient: Tensor, state: dict[str, Tensor]) -> Tensor:
    if not state:
        state["step"] = torch.zeros((), dtype=torch.float32)
        state["mean"] = torch.zeros_like(gradient)
        state["square"] = torch.zeros_like(gradient)
    first, second = _BETAS
    state["step"] += 1
    mean = state["mean"].lerp_(gradient, 1 - first)
    square = state["square"].mul_(second).addcmul_(gradient, gradient, value=1 - second)
    steps = float(state["step"])
    deviation = (square / (1 - second**steps)).sqrt_().add_(_EPSILON)
    direction: Tensor = mean / (1 - first**steps) / deviation
    return direction


def orthogonalized(matrix: Tensor) -> Tensor:
    """Nearly U Vᵀ of a matrix U S Vᵀ [a, b], singular values between about 0.7 and 1.2.

    Five Newton-Schulz iterations with Muon's coefficients, in the matrix's own precision.
    """
    flat = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    flat = flat / (flat.norm() + 1e-7)
    a, b, c = _NEWTON_SCHULZ
    for _ in range(_ITERATIONS):
        gram = flat @ flat.T
        flat = a * flat + (b * gram + c * gram @ gram) @ flat
    found: Tensor = flat if matrix.shape[0] <= matrix.shape[1] else flat.T
    return found


def muon_for(model: nn.Module, lr: float, weight_decay: float) -> Muon:
    """Muon for a model's hidden matrices, AdamW for its embeddings, heads, norms and biases."""
    trained = [p for p in model.parameters() if p.requires_grad]
    hidden = {id(p) for p in _hidden_matrices(model)}
    matrices = [p for p in trained if id(p) in hidden]
    rest = [p for p in trained if id(p) not in hidden]
    return Muon(matrices, rest, lr, weight_decay)


def _hidden_matrices(model: nn.Module) -> Iterator[Tensor]:
    """Weights of linear layers that are neither a head nor tied to an embedding."""
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    for name, module in model.named_modules():
        last = name.rsplit(".", 1)[-1]
        hidden = isinstance(module, nn.Linear) and last not in ("lm_head", "head")
        if hidden and id(module.weight) not in embeddings:
            yield module.weight
