"""A predictor that starts from an earlier one."""

from pathlib import Path

import pytest
import torch

from rabtriever_core.config import ScheduleConfig, StudentConfig
from rabtriever_core.errors import ModelError
from rabtriever_core.models.predictor import Predictor, make_predictor
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.models.student import Student
from rabtriever_core.training.distill import distill
from rabtriever_core.training.examples import Examples
from tests.core.small import RUNTIME, small_backbone, small_dataset

DATASET = small_dataset()
BACKBONE = small_backbone(DATASET)
STUDENT = StudentConfig(
    schedule=ScheduleConfig(min_steps=1, max_steps=1, queries_per_step=8, learning_rate=1e-9),
    rollout_queries=8,
    documents_per_query=4,
)


def _distil(folder: Path, start: Predictor | None, cosine_scale: float = 0.0) -> Predictor:
    student = Student(BACKBONE, make_predictor(BACKBONE.dimension, STUDENT, RUNTIME.seed))
    examples = Examples.of(DATASET, "train", BACKBONE.prompt)
    folder.mkdir()
    teacher = GenerativeReranker(BACKBONE, cosine_scale)
    distill(teacher, student, examples, STUDENT, RUNTIME, folder, start)
    return student.predictor


@pytest.mark.parametrize("cosine_scale", [0.0, 20.0])
def test_training_goes_on_from_the_given_weights(tmp_path: Path, cosine_scale: float) -> None:
    start = make_predictor(BACKBONE.dimension, STUDENT, 99)
    begun = {name: weight.clone() for name, weight in start.state_dict().items()}
    warm = _distil(tmp_path / "warm", start, cosine_scale).state_dict()
    fresh = _distil(tmp_path / "fresh", None, cosine_scale).state_dict()
    for name, weight in begun.items():
        torch.testing.assert_close(warm[name], weight, atol=1e-6, rtol=0)
        torch.testing.assert_close(start.state_dict()[name], weight, atol=0, rtol=0)
    assert any(not torch.allclose(fresh[name], begun[name], atol=1e-3) for name in begun)


def test_another_shape_is_no_start(tmp_path: Path) -> None:
    other = make_predictor(BACKBONE.dimension, STUDENT.model_copy(update={"layers": 3}), 99)
    with pytest.raises(ModelError, match=r"set student\.start to fresh"):
        _distil(tmp_path / "other", other)
