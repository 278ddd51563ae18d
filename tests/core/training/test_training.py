"""Everything trains, is deterministic, and a killed run continues as if it had never stopped."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rabtriever_core.config import (
    DpoConfig,
    LoraConfig,
    PromptConfig,
    StudentConfig,
)
from rabtriever_core.models.backbone import tiny_backbone
from rabtriever_core.models.lora import load_adapters
from rabtriever_core.models.predictor import Predictor, make_predictor
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.models.states import query_states
from rabtriever_core.models.student import Student
from rabtriever_core.training.checkpoints import last_complete_checkpoint
from rabtriever_core.training.distill import distill
from rabtriever_core.training.dpo import prefer_right_answers
from rabtriever_core.training.negatives import Miner
from rabtriever_core.training.pairs import draw_pairs
from rabtriever_core.training.sft import fine_tune_teacher
from rabtriever_core.training.warmup import warm_up
from tests.core.small import BACKBONE, RUNTIME, small_backbone
from tests.core.training.short import DATASET, SHORT, STUDENT, TEACHER, examples_of


class KilledError(Exception):
    """Stands for the process dying."""


def _resumes(monkeypatch, run, checkpoints: Path) -> None:
    """Run until a checkpoint lies on disk, die, leave a half-written newer one, run again."""
    from rabtriever_core.training import trainer

    class Dying(trainer.BarCallback):
        def on_step_end(self, args, state, control, **kwargs) -> None:
            super().on_step_end(args, state, control, **kwargs)
            if state.global_step == 27:
                raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "BarCallback", Dying)
        with pytest.raises(KilledError):
            run()
    assert last_complete_checkpoint(checkpoints).name == "checkpoint-20"
    torn = checkpoints / "checkpoint-25"
    shutil.copytree(checkpoints / "checkpoint-20", torn)
    (torn / "trainer_state.json").write_text('{"global_step": 2')


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    backbone = small_backbone(DATASET)
    history = warm_up(
        backbone, examples_of(backbone), BACKBONE, RUNTIME, tmp_path_factory.mktemp("warm")
    )
    folder = tmp_path_factory.mktemp("backbone")
    backbone.save(folder)
    return folder, history


def _load(folder):
    from rabtriever_core.models.backbone import Backbone

    return Backbone.load(folder, RUNTIME)


def test_warm_up_lowers_both_losses(warm) -> None:
    _, history = warm
    assert history[-1]["loss_modelling"] < history[0]["loss_modelling"]
    assert history[-1]["loss_contrast"] < history[0]["loss_contrast"]


@pytest.fixture(scope="module")
def teacher(warm, tmp_path_factory):
    backbone = _load(warm[0])
    reranker = GenerativeReranker(backbone)
    history = fine_tune_teacher(
        reranker, examples_of(backbone), TEACHER, RUNTIME, tmp_path_factory.mktemp("sft"), None
    )
    return reranker, history


def test_teacher_learns_and_resumes_exactly(warm, teacher, tmp_path, monkeypatch) -> None:
    reranker, history = teacher
    assert history[-1]["loss_listwise"] < history[0]["loss_listwise"]
    resumed = _load(warm[0])

    def run():
        fresh = _load(warm[0])
        resumed.model = fresh.model
        again = GenerativeReranker(resumed)
        return fine_tune_teacher(again, examples_of(resumed), TEACHER, RUNTIME, tmp_path, None)

    _resumes(monkeypatch, run, tmp_path)
    again = run()
    assert again == history
    assert [list(row) for row in again] == [list(row) for row in history]
    expected = reranker.backbone.model.state_dict()
    for name, tensor in resumed.model.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


BRIEF = SHORT.model_copy(update={"min_steps": 10, "max_steps": 10})


def test_a_backbone_of_one_layer_can_be_trained(tmp_path) -> None:
    # It has no layer half-way up to align beside the last one.
    one = BACKBONE.model_copy(update={"tiny": BACKBONE.tiny.model_copy(update={"layers": 1})})
    texts = [d.full_text for d in DATASET.documents] + list(DATASET.queries.values())
    backbone = tiny_backbone(one, PromptConfig(), texts, seed=3)
    config = TEACHER.model_copy(update={"schedule": BRIEF, "contrastive_queries": 4})
    history = fine_tune_teacher(
        GenerativeReranker(backbone), examples_of(backbone), config, RUNTIME, tmp_path, None
    )
    assert history[-1]["loss_contrast"] > 0


@pytest.mark.parametrize("lora", [None, LoraConfig(rank=2, alpha=4)])
def test_dpo_prefers_the_right_answers_more_than_its_reference(warm, tmp_path, lora) -> None:
    backbone = _load(warm[0])
    config = TEACHER.model_copy(update={"dpo": DpoConfig(beta=1, schedule=SHORT)})
    history = prefer_right_answers(
        GenerativeReranker(backbone), examples_of(backbone), config, RUNTIME, tmp_path, lora
    )
    # A model that is its own reference prefers nothing, which is a loss of log 2.
    assert history[-1]["loss_dpo"] < min(history[0]["loss_dpo"], np.log(2))


def _distil(teacher, folder):
    student = _student(teacher)
    history = distill(teacher, student, examples_of(teacher.backbone), STUDENT, RUNTIME, folder)
    return student.predictor, history


def _student(teacher, config=STUDENT) -> Student:
    predictor = make_predictor(teacher.backbone.dimension, config, RUNTIME.seed)
    return Student(teacher.backbone, predictor)


def test_student_learns_and_resumes_exactly(teacher, tmp_path, monkeypatch) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    expected, history = _distil(teacher[0], tmp_path / "whole")
    assert history[-1]["loss_mse"] < history[0]["loss_mse"]
    _resumes(monkeypatch, lambda: _distil(teacher[0], tmp_path / "cut"), tmp_path / "cut")
    resumed, resumed_history = _distil(teacher[0], tmp_path / "cut")
    assert resumed_history == history
    for name, tensor in resumed.state_dict().items():
        assert torch.equal(tensor, expected.state_dict()[name]), name
    student = Student(teacher[0].backbone, resumed)
    queries = [DATASET.queries[q] for q in DATASET.split_queries("dev")]
    margins = student.margin(queries, DATASET.documents)
    reference = teacher[0].margins(queries, DATASET.documents)
    assert np.corrcoef(margins.ravel(), reference.ravel())[0, 1] > 0.6


def test_distillation_never_looks_up_which_document_is_right(teacher, tmp_path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    examples = examples_of(teacher[0].backbone)
    shuffled = replace(examples, relevant=list(reversed(examples.relevant)))
    results = []
    for folder, used in (("a", examples), ("b", shuffled)):
        student = _student(teacher[0])
        distill(teacher[0], student, used, STUDENT, RUNTIME, tmp_path / folder)
        results.append(student.predictor.state_dict()["gate.mlp.0.weight"])
    assert torch.equal(*results)


VARIANTS = {
    "wide": {"predictor": "wide", "rank": 8},
    "paper": {"skip": False, "anchor_weight": 0.0, "listwise_kl_weight": 0.0, "refresh_steps": 5},
    "off-policy": {"policy": "cosine", "forward_kl_weight": 0.1},
    "supervised": {"policy": "uniform", "supervised_weight": 1.0},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_of_the_student_learn(name: str, teacher, tmp_path) -> None:
    config = STUDENT.model_copy(update=VARIANTS[name])
    student = _student(teacher[0], config)
    examples = examples_of(teacher[0].backbone)
    history = distill(teacher[0], student, examples, config, RUNTIME, tmp_path)
    weights = {f"loss_{part}": weight for part, weight in _weights(config).items()}
    assert {part for part in history[0] if part.startswith("loss_")} == {
        part for part, weight in weights.items() if weight
    }
    assert history[-1]["loss"] < history[0]["loss"]


def _weights(config: StudentConfig) -> dict[str, float]:
    dumped = config.model_dump()
    return {n.removesuffix("_weight"): v for n, v in dumped.items() if n.endswith("_weight")}


def test_a_query_side_of_its_own_leaves_documents_as_they_are(teacher, tmp_path) -> None:
    backbone = teacher[0].backbone
    backbone.save(tmp_path / "teacher")
    config = STUDENT.model_copy(update={"query_encoder": "lora"})
    student = _student(teacher[0], config)
    student.adapt_queries(_load(tmp_path / "teacher"), LoraConfig(rank=4, alpha=8), RUNTIME.seed)
    texts = [DATASET.queries[q] for q in DATASET.split_queries("dev")]
    documents = student.encode_documents(DATASET.documents)
    before = query_states(student.query_encoder, texts)
    for folder in ("checkpoints", "student"):
        (tmp_path / folder).mkdir()
    distill(teacher[0], student, examples_of(backbone), config, RUNTIME, tmp_path / "checkpoints")
    assert np.abs(query_states(student.query_encoder, texts) - before).max() > 1e-3
    np.testing.assert_array_equal(student.encode_documents(DATASET.documents), documents)
    student.save(tmp_path / "student")
    assert not any("lora_" not in name for name in _tensors(tmp_path / "student/query_adapter"))
    again = _load(tmp_path / "teacher")
    load_adapters(again, tmp_path / "student/query_adapter")
    loaded = Student(backbone, Predictor.load(tmp_path / "student"), again)
    np.testing.assert_allclose(
        loaded.encode_queries(texts), student.encode_queries(texts), atol=1e-4
    )


def _tensors(folder: Path) -> list[str]:
    from safetensors import safe_open

    with safe_open(folder / "adapter_model.safetensors", framework="pt") as file:
        return list(file.keys())


def test_lora_trains_adapters_only_and_merges(warm, tmp_path) -> None:
    backbone = _load(warm[0])
    before = {name: t.clone() for name, t in backbone.model.state_dict().items()}
    short = TEACHER.model_copy(
        update={"schedule": SHORT.model_copy(update={"min_steps": 10, "max_steps": 10})}
    )
    reranker = GenerativeReranker(backbone)
    fine_tune_teacher(
        reranker, examples_of(backbone), short, RUNTIME, tmp_path, LoraConfig(rank=2, alpha=4)
    )
    after = backbone.model.state_dict()
    assert after.keys() == before.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert any("q_proj" in name for name in changed)
    assert not any("norm" in name or "embed" in name for name in changed)


def test_mining_is_repeated_by_the_teacher_and_drops_what_it_finds_better(
    teacher, tmp_path
) -> None:
    examples = examples_of(teacher[0].backbone)
    config = TEACHER.model_copy(update={"mining_refresh_steps": 10, "mining_queries": 500})
    miner = Miner(teacher[0], examples, config, tmp_path, RUNTIME.seed)
    first, second = miner.at(9), miner.at(10)
    assert miner.at(19) is second
    assert [len(row) for row in first] == [config.mining_depth] * len(examples.queries)
    margins = teacher[0].margins(examples.queries, examples.documents)
    for query, row in enumerate(second):
        assert not set(row.tolist()) & examples.relevant[query]
        best = max(margins[query][sorted(examples.relevant[query])])
        assert (margins[query][row] <= best + 1e-3).all()
        assert (np.diff(margins[query][row]) <= 1e-3).all()
    again = Miner(teacher[0], examples, config, tmp_path, RUNTIME.seed).at(10)
    assert all(np.array_equal(a, b) for a, b in zip(again, second, strict=True))


@pytest.mark.parametrize("answerless", [0, 1])
def test_mining_where_no_document_is_wrong(answerless: int, teacher, tmp_path) -> None:
    """Every query has every document as its right one; or all but one query."""
    examples = examples_of(teacher[0].backbone)
    everything = frozenset(range(len(examples.documents)))
    relevant = [everything] * len(examples.queries)
    relevant[:answerless] = examples.relevant[:answerless]
    examples = replace(examples, relevant=relevant)
    config = TEACHER.model_copy(update={"mining_refresh_steps": 10, "mining_queries": 5})
    for step in (0, 10):
        mined = Miner(teacher[0], examples, config, tmp_path, RUNTIME.seed).at(step)
        assert [len(row) for row in mined[:answerless]] == [config.mining_depth] * answerless
        assert not any(map(len, mined[answerless:]))
        drawn = draw_pairs(examples, mined, config, 1, step).drawn
        assert all(len(set(row)) == config.documents_per_query for row in drawn.tolist())
