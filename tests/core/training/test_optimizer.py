"""Muon: agrees with torch's, steps are orthogonal, and a run resumes with it."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from rabtriever_core.training.loop import train
from rabtriever_core.training.optimizer import Muon, muon_for, orthogonalized
from tests.core.small import RUNTIME, small_backbone
from tests.core.training.short import DATASET, SHORT


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 48), st.integers(0, 24), st.floats(1e-4, 1e4), st.integers(0, 2**20))
def test_all_directions_of_a_matrix_weigh_alike(a: int, more: int, size: float, seed: int) -> None:
    scales = torch.tensor([1.0, size, 100.0])[:, None, None]
    stack = scales * torch.randn(3, a, a + more, generator=torch.Generator().manual_seed(seed))
    for matrix, orthogonal in zip(stack, orthogonalized(stack), strict=True):
        u, s, vt = torch.linalg.svd(matrix, full_matrices=False)
        found = torch.linalg.svdvals(orthogonal)
        # A direction that is nearly absent cannot be blown up in five iterations.
        clear = s > s[0] / 50
        assert (found[clear] > 0.5).all()
        assert (found < 1.35).all()
        along = torch.einsum("ai,ab,ib->i", u, orthogonal, vt)
        assert (along[clear] > 0.5).all()


def test_matrices_of_one_shape_move_as_each_would_alone() -> None:
    torch.manual_seed(5)
    shapes = [(8, 12), (12, 8), (6, 6), (8, 12)]
    together = [nn.Parameter(torch.randn(shape)) for shape in shapes]
    alone = [nn.Parameter(p.detach().clone()) for p in together]
    optimizers = [
        Muon(parameters, [], lr=0.1, weight_decay=0.1)
        for parameters in (together, *([each] for each in alone))
    ]
    for _ in range(3):
        for one, other in zip(together, alone, strict=True):
            one.grad = torch.randn(one.shape)
            other.grad = one.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one, other)


def test_matrices_move_as_with_torchs_muon_and_the_rest_as_with_adamw() -> None:
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(16, 24), nn.Tanh(), nn.Linear(24, 8))
    theirs = copy.deepcopy(model)
    weights = [theirs[0].weight, theirs[2].weight]
    biases = [theirs[0].bias, theirs[2].bias]
    ours = muon_for(model, lr=1e-2, weight_decay=0.1)
    muon = torch.optim.Muon(weights, lr=1e-2, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    adam = torch.optim.AdamW(biases, lr=1e-2, weight_decay=0.0)
    start = copy.deepcopy(model)
    for _ in range(5):
        x = torch.randn(32, 16)
        for network in (model, theirs):
            network.zero_grad()
            (network(x) - x[:, :8].sin()).square().mean().backward()
        for optimizer in (ours, muon, adam):
            optimizer.step()
    for before, mine, other in zip(
        start.parameters(), model.parameters(), theirs.parameters(), strict=True
    ):
        # torch's computes in bfloat16.
        moved = (other - before).norm()
        assert (mine - other).norm() < 0.03 * moved
        assert moved > 0


def test_embeddings_heads_norms_and_biases_are_no_matrices() -> None:
    model = small_backbone(DATASET).model
    optimizer = muon_for(model, 1e-3, 0.0)
    orthogonal = next(g["params"] for g in optimizer.param_groups if g["orthogonal"])
    names = {name for name, p in model.named_parameters() if any(p is each for each in orthogonal)}
    assert names == {
        name for name, p in model.named_parameters() if ".layers." in name and p.ndim == 2
    }
    assert sum(len(g["params"]) for g in optimizer.param_groups) == len(list(model.parameters()))


@pytest.mark.parametrize("killed_at", [10, 20])
def test_a_resumed_run_ends_with_the_same_weights(tmp_path, killed_at: int) -> None:
    schedule = SHORT.model_copy(update={"optimizer": "muon"})

    def run(folder: str, steps: int) -> list[torch.Tensor]:
        backbone = small_backbone(DATASET)
        rows = backbone.prompt.documents(DATASET.documents)

        def loss_at(step: int) -> dict[str, torch.Tensor]:
            if step >= steps:
                raise KeyboardInterrupt
            states = backbone.last_states(rows[step % 3 :: 3])
            return {"square": (states.mean(dim=0) - 1).square().mean()}

        try:
            train(
                backbone.model,
                loss_at,
                steps=30,
                schedule=schedule,
                runtime=RUNTIME,
                checkpoints=tmp_path / folder,
                label="test",
            )
        except KeyboardInterrupt:
            return []
        return [p.detach().clone() for p in backbone.model.parameters()]

    whole = run("whole", 30)
    assert run("killed", killed_at + 3) == []
    resumed = run("killed", 30)
    assert all(torch.equal(a, b) for a, b in zip(whole, resumed, strict=True))


def test_a_step_without_gradients_changes_nothing() -> None:
    weight = nn.Parameter(torch.ones(2, 2))
    Muon([weight], [], lr=1.0, weight_decay=0.5).step()
    assert torch.equal(weight, torch.ones(2, 2))
