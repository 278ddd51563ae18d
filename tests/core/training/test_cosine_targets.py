"""What a student without a linear path is held to where the teacher's margin has a cosine part."""

from pathlib import Path

import numpy as np
import pytest
import torch

from rabtriever_core.config import StudentConfig
from rabtriever_core.models.predictor import make_predictor
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.models.student import Student
from rabtriever_core.training.distill import _Distillation
from rabtriever_core.training.examples import Examples
from tests.core.small import RUNTIME, small_backbone, small_dataset


@pytest.mark.parametrize(
    "changes", [{"skip": False}, {"predictor": "additive"}, {"predictor": "wide", "skip": False}]
)
def test_targets_hold_the_cosine_whatever_the_predictor(changes: dict, tmp_path: Path) -> None:
    dataset = small_dataset()
    backbone = small_backbone(dataset)
    config = StudentConfig(**changes)
    student = Student(backbone, make_predictor(backbone.dimension, config, 3))
    run = _Distillation(
        GenerativeReranker(backbone, 20.0),
        student,
        Examples.of(dataset, "train", backbone.prompt),
        config,
        RUNTIME,
        tmp_path,
    )
    # Any states will do, and those of an untrained model are all alike.
    rng = np.random.default_rng(3)
    e_q = rng.standard_normal((8, backbone.dimension)).astype(np.float32)
    e_d = torch.from_numpy(rng.standard_normal((12, backbone.dimension)).astype(np.float32))
    assert run.cosine_part is not None
    with torch.inference_mode():
        part = run.cosine_part.states(torch.from_numpy(e_q), e_d.expand(len(e_q), -1, -1))
        margins = (part @ run.direction).numpy()
    # A dimension in which both answers' rows are nearly alike cannot hold its part.
    squares = run.direction.numpy() ** 2
    held = squares / (squares + squares.mean() / 1000)
    products = (e_q * held) @ e_d.numpy().T
    assert np.corrcoef(margins.ravel(), products.ravel())[0, 1] > 0.999
