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
            moved = [parameter for parameter in group["params"] if parameter.grad is not None]
            make = _orthogonal_directions if group["orthogonal"] else _adam_directions
            directions = make([p.grad for p in moved], [self.state[p] for p in moved])
            for parameter, direction in zip(moved, directions, strict=True):
                if parameter.ndim > 1:
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(direction, alpha=-group["lr"])


def _orthogonal_directions(
    gradients: Sequence[Tensor], states: Sequence[dict[str, Tensor]]
) -> list[Tensor]:
    """One direction per gradient; matrices of one shape are made orthogonal together.

    One by one they are so many small products that a GPU mostly waits to be told the next.
    """
    ahead: list[Tensor] = []
    for gradient, state in zip(gradients, states, strict=True):
        if not state:
            state["momentum"] = torch.zeros_like(gradient)
        momentum = state["momentum"].lerp_(gradient, 1 - _MOMENTUM)
        ahead.append(gradient.lerp(momentum, _MOMENTUM))
    places: dict[tuple[int, int], list[int]] = {}
    for place, matrix in enumerate(ahead):
        places.setdefault((min(matrix.shape), max(matrix.shape)), []).append(place)
    for (_, longer), alike in places.items():
        upright = [ahead[place].shape[0] > ahead[place].shape[1] for place in alike]
        flat = [
            ahead[place].T if tall else ahead[place]
            for place, tall in zip(alike, upright, strict=True)
        ]
        found = 0.2 * longer**0.5 * orthogonalized(torch.stack(flat))
        for place, tall, matrix in zip(alike, upright, found, strict=True):
            ahead[place] = matrix.T if tall else matrix
    return ahead


def _adam_directions(
    gradients: Sequence[Tensor], states: Sequence[dict[str, Tensor]]
) -> list[Tensor]:
    return [_adam_step(*pair) for pair in zip(gradients, states, strict=True)]


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


def orthogonalized(matrices: Tensor) -> Tensor:
    """Nearly U Vᵀ of matrices U S Vᵀ [n, a, b], a ≤ b; singular values between about 0.7 and 1.2.

    Five Newton-Schulz iterations with Muon's coefficients, in the matrices' own precision.
    """
    flat: Tensor = matrices / (torch.linalg.matrix_norm(matrices, keepdim=True) + 1e-7)
    a, b, c = _NEWTON_SCHULZ
    for _ in range(_ITERATIONS):
        gram = flat @ flat.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        flat = torch.baddbmm(flat, polynomial, flat, beta=a)
    return flat


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
