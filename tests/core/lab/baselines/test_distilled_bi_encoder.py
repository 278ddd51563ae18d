"""The distilled bi-encoder learns the teacher's scores, which are computed once."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from rabtriever_core.errors import DatasetError
from rabtriever_core.lab.baselines.distilled_bi_encoder import train_distilled_bi_encoder
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.training.bi_encoder import BiEncoder
from rabtriever_core.training.examples import Examples
from rabtriever_core.training.losses import forward_kl_listwise, margin_mse
from tests.core.lab.baselines.plans import DATASET, TEACHER, fresh, plan

QUERIES = [DATASET.queries[q] for q in DATASET.split_queries("train")]


@pytest.fixture(scope="module")
def teacher() -> GenerativeReranker:
    """An untrained model with margins of its own; their scale is blown up to be worth learning."""
    backbone, _ = fresh(seed=11)
    with torch.no_grad():
        backbone.body.norm.weight.mul_(20)
    return GenerativeReranker(backbone)


@pytest.mark.parametrize("loss", [margin_mse, forward_kl_listwise])
def test_comes_nearer_to_the_teacher_and_resumes(loss, teacher, tmp_path) -> None:
    backbone, examples = fresh()
    judged = [DATASET.documents[d] for d in examples.relevant_documents]
    targets = torch.from_numpy(teacher.margins(QUERIES, judged))

    def distance() -> float:
        scores = torch.from_numpy(BiEncoder(backbone).scores(QUERIES, judged)) / 0.05
        return float(loss(scores, targets))

    before = distance()
    history = train_distilled_bi_encoder(
        backbone, teacher, examples, loss, 0.05, plan(tmp_path), "distilled"
    )
    assert distance() < 0.7 * before
    # Every step is done: running it again trains nothing and gives the same model.
    again, _ = fresh()
    assert history == train_distilled_bi_encoder(
        again, teacher, examples, loss, 0.05, plan(tmp_path), "distilled"
    )
    for name, tensor in again.model.state_dict().items():
        assert torch.equal(tensor, backbone.model.state_dict()[name]), name


def test_stored_scores_are_the_teachers_own(teacher, tmp_path) -> None:
    backbone, examples = fresh()
    train_distilled_bi_encoder(
        backbone, teacher, examples, margin_mse, 0.05, plan(tmp_path), "distilled"
    )
    scored = load_file(tmp_path / "teacher-scores.safetensors")
    assert scored["queries"].tolist() == list(range(len(QUERIES)))
    margins = teacher.margins(QUERIES, DATASET.documents)
    expected = np.take_along_axis(margins, scored["documents"], axis=1)
    np.testing.assert_allclose(scored["margins"], expected, atol=1e-4)
    for query, row in zip(scored["queries"], scored["documents"].tolist(), strict=True):
        assert len(set(row)) == TEACHER.documents_per_query
        assert row[0] in examples.relevant[query]
        assert set(row) <= set(examples.relevant_documents.tolist())


def test_one_right_document_for_all_is_an_error(teacher, tmp_path) -> None:
    backbone, examples = fresh()
    same: Examples = replace(examples, relevant=[frozenset({2})] * len(examples.queries))
    with pytest.raises(DatasetError, match="the same relevant document"):
        train_distilled_bi_encoder(
            backbone, teacher, same, margin_mse, 0.05, plan(tmp_path), "distilled"
        )
