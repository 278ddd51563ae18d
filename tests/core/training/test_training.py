"""Everything trains, is deterministic, and a killed run continues as if it had never stopped."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rabtriever_core.baselines.bi_encoder import train_bi_encoder
from rabtriever_core.config import (
    BiEncoderConfig,
    DpoConfig,
    LoraConfig,
    ScheduleConfig,
    StudentConfig,
    TeacherConfig,
)
from rabtriever_core.models.lora import load_adapters
from rabtriever_core.models.predictor import Predictor, make_predictor
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.models.retriever import Rabtriever, query_states
from rabtriever_core.training.distill import distill
from rabtriever_core.training.dpo import prefer_right_answers
from rabtriever_core.training.examples import Examples
from rabtriever_core.training.loop import (
    last_complete_checkpoint,
    read_history,
    train,
    write_history,
)
from rabtriever_core.training.negatives import Miner, in_batch_documents
from rabtriever_core.training.pairs import candidates, draw_pairs
from rabtriever_core.training.pretrain import warm_up
from rabtriever_core.training.rollouts import draw_candidates
from rabtriever_core.training.sft import fine_tune_teacher
from rabtriever_core.training.steps import queries_of_step
from tests.core.small import BACKBONE, RUNTIME, small_backbone, small_dataset

DATASET = small_dataset()
SHORT = ScheduleConfig(
    min_steps=40, max_steps=40, queries_per_step=6, checkpoint_steps=10, learning_rate=3e-3
)
TEACHER = TeacherConfig(schedule=SHORT, documents_per_query=6, mining_depth=4)
STUDENT = StudentConfig(schedule=SHORT, refresh_steps=15, rollout_queries=20, documents_per_query=4)


class KilledError(Exception):
    """Stands for the process dying."""


def _examples(backbone) -> Examples:
    return Examples.of(DATASET, "train", backbone.prompt)


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
        backbone, _examples(backbone), BACKBONE, RUNTIME, tmp_path_factory.mktemp("warm")
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
        reranker, _examples(backbone), TEACHER, RUNTIME, tmp_path_factory.mktemp("sft"), None
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
        return fine_tune_teacher(again, _examples(resumed), TEACHER, RUNTIME, tmp_path, None)

    _resumes(monkeypatch, run, tmp_path)
    again = run()
    assert again == history
    assert [list(row) for row in again] == [list(row) for row in history]
    expected = reranker.backbone.model.state_dict()
    for name, tensor in resumed.model.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


BRIEF = SHORT.model_copy(update={"min_steps": 10, "max_steps": 10})


def _tuned(warm, examples, folder: Path, tune, **update) -> torch.Tensor:
    """A weight of the backbone after ten steps of supervised fine-tuning or DPO."""
    backbone = _load(warm[0])
    config = TEACHER.model_copy(
        update={"schedule": BRIEF, "dpo": DpoConfig(beta=1, schedule=BRIEF), **update}
    )
    history = tune(GenerativeReranker(backbone), examples, config, RUNTIME, folder, None)
    assert np.isfinite(history[-1]["loss"])
    return backbone.body.layers[0].self_attn.k_proj.weight.detach()


@pytest.mark.parametrize("tune", [fine_tune_teacher, prefer_right_answers])
def test_weights_of_queries_and_pairs_reach_the_teachers_losses(warm, tmp_path, tune) -> None:
    even = _examples(_load(warm[0]))
    kept = [q for q in range(len(even.queries)) if q % 4 < 1 + q // 12]
    uneven = replace(
        even,
        **{name: [getattr(even, name)[q] for q in kept] for name in ("queries", "query_ids")},
        relevant=[even.relevant[q] for q in kept],
    )
    assert np.ptp(uneven.balanced_weights(1.0)) > 0.5
    plain, balanced, focal = (
        _tuned(warm, uneven, tmp_path / str(i), tune, **update)
        for i, update in enumerate([{}, {"class_balance": 1.0}, {"focal_gamma": 2.0}])
    )
    assert not torch.equal(plain, balanced)
    assert not torch.equal(plain, focal)
    # Where all documents are right equally often there is nothing to balance.
    assert torch.equal(
        _tuned(warm, even, tmp_path / "even", tune),
        _tuned(warm, even, tmp_path / "even balanced", tune, class_balance=1.0),
    )


def _distil(teacher, folder):
    student = _student(teacher)
    history = distill(teacher, student, _examples(teacher.backbone), STUDENT, RUNTIME, folder)
    return student.predictor, history


def _student(teacher, config=STUDENT) -> Rabtriever:
    predictor = make_predictor(teacher.backbone.dimension, config, RUNTIME.seed)
    return Rabtriever(teacher.backbone, predictor)


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
    student = Rabtriever(teacher[0].backbone, resumed)
    queries = [DATASET.queries[q] for q in DATASET.split_queries("dev")]
    margins = student.margin(queries, DATASET.documents)
    reference = teacher[0].margins(queries, DATASET.documents)
    assert np.corrcoef(margins.ravel(), reference.ravel())[0, 1] > 0.6


def test_distillation_never_looks_up_which_document_is_right(teacher, tmp_path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    examples = _examples(teacher[0].backbone)
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
    "off-policy": {"policy": "cosine", "normalized_mse_weight": 0.5, "forward_kl_weight": 0.1},
    "supervised": {"policy": "uniform", "supervised_weight": 1.0},
    "query positions": {"predicts": "query_positions", "positions_per_query": 3},
    "wide at query positions": {"predicts": "query_positions", "predictor": "wide"},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_of_the_student_learn(name: str, teacher, tmp_path) -> None:
    config = STUDENT.model_copy(update=VARIANTS[name])
    student = _student(teacher[0], config)
    examples = _examples(teacher[0].backbone)
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
    before = query_states(student.query_backbone, texts)
    for folder in ("checkpoints", "student"):
        (tmp_path / folder).mkdir()
    distill(teacher[0], student, _examples(backbone), config, RUNTIME, tmp_path / "checkpoints")
    assert np.abs(query_states(student.query_backbone, texts) - before).max() > 1e-3
    np.testing.assert_array_equal(student.encode_documents(DATASET.documents), documents)
    student.save(tmp_path / "student")
    assert not any("lora_" not in name for name in _tensors(tmp_path / "student/query_adapter"))
    again = _load(tmp_path / "teacher")
    load_adapters(again, tmp_path / "student/query_adapter")
    loaded = Rabtriever(backbone, Predictor.load(tmp_path / "student"), again)
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
        reranker, _examples(backbone), short, RUNTIME, tmp_path, LoraConfig(rank=2, alpha=4)
    )
    after = backbone.model.state_dict()
    assert after.keys() == before.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert any("q_proj" in name for name in changed)
    assert not any("norm" in name or "embed" in name for name in changed)


def test_mining_is_repeated_by_the_teacher_and_drops_what_it_finds_better(
    teacher, tmp_path
) -> None:
    examples = _examples(teacher[0].backbone)
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
    examples = _examples(teacher[0].backbone)
    everything = frozenset(range(len(examples.documents)))
    relevant = [everything] * len(examples.queries)
    relevant[:answerless] = examples.relevant[:answerless]
    examples = replace(examples, relevant=relevant)
    config = TEACHER.model_copy(update={"mining_refresh_steps": 10, "mining_queries": 5})
    for step in (0, 10):
        mined = Miner(teacher[0], examples, config, tmp_path, RUNTIME.seed).at(step)
        assert [len(row) for row in mined[:answerless]] == [config.mining_depth] * answerless
        assert not any(map(len, mined[answerless:]))
        drawn = draw_pairs(examples, mined, config, 1, step, 40).drawn
        assert all(len(set(row)) == config.documents_per_query for row in drawn.tolist())


def test_training_stops_early_and_keeps_the_best(tmp_path) -> None:
    layer = torch.nn.Linear(1, 1, bias=False)
    schedule = SHORT.model_copy(
        update={"min_steps": 200, "max_steps": 200, "evaluate_steps": 10, "patience": 2}
    )
    qualities = iter([0.1, 0.5, 0.4, 0.3])
    weights = []

    def evaluate() -> float:
        weights.append(layer.weight.detach().clone())
        return next(qualities)

    history = train(
        layer, lambda step: {"x": layer(torch.ones(1, 1)).sum()}, steps=200, schedule=schedule,
        runtime=RUNTIME, checkpoints=tmp_path, label="early", evaluate=evaluate,
    )  # fmt: skip
    assert history[-1]["step"] == 40
    assert torch.equal(layer.weight, weights[1])


def test_evaluation_falls_on_checkpoints() -> None:
    with pytest.raises(ValueError, match="20 must be a multiple of evaluate_steps 30"):
        ScheduleConfig(evaluate_steps=30, checkpoint_steps=20)


def test_curriculum_starts_without_hard_negatives() -> None:
    examples = _examples(small_backbone(DATASET))
    hard = 11
    mined = [np.array([hard]) for _ in examples.relevant]
    config = TEACHER.model_copy(update={"curriculum_share": 1.0, "mined_share": 1.0})
    met = [
        np.isin(draw_pairs(examples, mined, config, 1, step, 40).drawn, hard).mean()
        for step in range(40)
    ]
    assert np.mean(met[:10]) < np.mean(met[-10:])


def test_candidates_hold_a_positive_hard_negatives_and_no_other_relevant_document() -> None:
    examples = _examples(small_backbone(DATASET))
    mined = [np.array([d for d in (0, 5, 7, 11) if d not in r]) for r in examples.relevant]
    drawn = candidates(examples, [0, 9, 17], mined, 6, 0.6, np.random.default_rng(0))
    assert drawn.shape == (3, TEACHER.documents_per_query)
    for query, row in zip((0, 9, 17), drawn.tolist(), strict=True):
        assert len(set(row)) == len(row)
        assert set(row) & examples.relevant[query] == {row[0]}
        assert len(set(row) & set(mined[query].tolist())) >= 3


def test_in_batch_documents_are_right_or_hard_and_never_unjudged() -> None:
    examples = _examples(small_backbone(DATASET))
    unjudged = 11
    examples = replace(examples, relevant=[r - {unjudged} or {0} for r in examples.relevant])
    mined = [np.array([d for d in (0, 5, unjudged) if d not in r]) for r in examples.relevant]
    queries = [0, 9, 17]
    right = [min(examples.relevant[q]) for q in queries]
    for given, count, hard in ((None, 3, []), (mined, 0, []), (mined, 3, [5])):
        rng = np.random.default_rng(0)
        assert in_batch_documents(examples, queries, given, count, rng) == right + hard


def test_small_pools_are_used_whole() -> None:
    examples = _examples(small_backbone(DATASET))
    drawn = candidates(examples, [3, 4], None, 50, 0.6, np.random.default_rng(0))
    assert drawn.tolist() == [list(range(12))] * 2


def test_candidate_draws() -> None:
    scores = np.zeros((200, 10), dtype=np.float32)
    scores[:, 3] = 8.0
    rng = np.random.default_rng(0)
    drawn = draw_candidates(scores, 4, 1.0, 0.25, rng)
    assert drawn.shape == (200, 4)
    assert all(len(set(row)) == 4 for row in drawn.tolist())
    assert (drawn == 3).any(axis=1).mean() > 0.98
    assert set(drawn[:, -1].tolist()) > {0, 9}
    assert draw_candidates(scores, 99, 1.0, 0.25, rng).shape == (200, 10)


def test_every_query_is_met_once_an_epoch() -> None:
    met = np.concatenate([queries_of_step(10, 4, step, seed=1) for step in range(5)])
    assert sorted(met[:10]) == sorted(met[10:20]) == list(range(10))
    assert len(queries_of_step(3, 8, 0, seed=1)) == 8


def test_history_round_trip(tmp_path) -> None:
    rows = [{"step": 10.0, "loss": 0.25, "learning_rate": 0.001}]
    write_history(rows, tmp_path)
    assert read_history(tmp_path) == rows


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path) -> None:
    from rabtriever_core.errors import ModelError

    layer = torch.nn.Linear(2, 1)
    with pytest.raises(ModelError, match=r"step 0.*learning_rate"):
        train(
            layer,
            lambda step: {"bad": layer(torch.full((1, 2), float("nan"))).sum()},
            steps=5, schedule=SHORT, runtime=RUNTIME, checkpoints=tmp_path, label="bad",
        )  # fmt: skip


def test_bi_encoder_stops_early_too(tmp_path) -> None:
    backbone = small_backbone(DATASET)
    schedule = SHORT.model_copy(
        update={"min_steps": 100, "max_steps": 100, "evaluate_steps": 10, "patience": 1}
    )
    config = BiEncoderConfig(schedule=schedule, hard_negatives=0)
    qualities = iter([0.2, 0.1])
    history = train_bi_encoder(
        backbone, _examples(backbone), config, RUNTIME, tmp_path, lambda: next(qualities)
    )
    assert history[-1]["step"] == 20
