"""What each gate lets through and stops."""

import json
from typing import Any

import pytest

from rabtriever_core.errors import ConfigError
from rabtriever_core.releases.gate_names import GATES
from rabtriever_core.releases.gates import compare
from rabtriever_core.releases.promotion import promote, rollback
from rabtriever_core.releases.store import part_folder
from rabtriever_core.workspace import Workspace
from tests.core.releases.conftest import Make
from tests.core.releases.life import grown, life_dataset


def canaries(workspace: Workspace, *rows: dict[str, Any]) -> None:
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (workspace.root / "canaries.jsonl").write_text(lines)


def verdict(make: Make, **changes: Any) -> dict[str, bool]:
    outcome = promote(make(**changes), by="ana")
    return {gate.name: gate.passed for gate in outcome.release.gates}


def test_every_gate_is_named_and_described(make: Make) -> None:
    assert list(verdict(make)) == list(GATES)


@pytest.mark.parametrize(
    ("gate", "changes"),
    [
        ("teacher_above_floor", {"dev_mrr": 0.29}),
        ("student_near_teacher", {"gates": {"student_share": 1.1}}),
        ("fast_enough", {"gates": {"max_p95_ms": 1.5}}),
        ("small_enough", {"gates": {"max_bytes": 24 * 16 * 4 - 1}}),
    ],
)
def test_limits(make: Make, gate: str, changes: dict[str, Any]) -> None:
    assert [name for name, passed in verdict(make, **changes).items() if not passed] == [gate]


def test_limits_that_are_met(make: Make) -> None:
    limits = {"max_p95_ms": 2.0, "max_bytes": 24 * 16 * 4}
    assert all(verdict(make, gates=limits).values())


def flat(**values: float) -> dict[str, dict[str, float]]:
    return {"test": {f"q{i}": value for i, value in enumerate(values.values())}}


def test_a_small_loss_passes_a_significant_one_does_not() -> None:
    served = {"test": {f"q{i}": 1.0 for i in range(400)}}
    lost = {q: 0.5 if i < 2 else 1.0 for i, q in enumerate(served["test"])}
    limits = {"max_loss": 0.01, "significance": 0.05}
    small = compare({"test": lost}, served, **limits)
    assert (small.passed, small.figure) == (True, pytest.approx(-0.0025))
    steady = {q: 0.98 if i < 160 else 1.0 for i, q in enumerate(served["test"])}
    significant = compare({"test": steady}, served, **limits)
    assert (significant.passed, significant.figure) == (False, pytest.approx(-0.008))
    assert compare({"test": steady}, served, max_loss=0.01, significance=0).passed
    assert not compare({"test": steady}, served, max_loss=0.005, significance=0).passed
    assert compare(served, {"test": steady}, **limits).passed


def test_every_split_is_held_to_the_limit() -> None:
    served = {split: {f"q{i}": 0.5 for i in range(50)} for split in ("easy", "hard")}
    better = {"easy": dict.fromkeys(served["easy"], 0.9), "hard": dict(served["hard"])}
    better["hard"]["q0"] = better["hard"]["q1"] = 0.0
    found = compare(better, served, max_loss=0.01, significance=0.05)
    assert (found.passed, found.figure) == (False, pytest.approx(-0.02))
    assert "easy MRR@10 0.9000 against 0.5000" in found.text


def test_other_data_measures_the_served_release_anew(make: Make, student: Any) -> None:
    first = promote(make(), by="ana").release
    workspace = make(dataset=grown(life_dataset()), salt=1, wrong=[11, 12])
    student.encoded.clear()
    outcome = promote(workspace, by="ana")
    (gate,) = outcome.failed
    assert gate.name == "not_worse"
    assert "against 1.0000" in gate.text, "it finds the new document, too"
    assert gate.text.endswith(f"{first.id} measured anew on this data")
    assert student.encoded == ["d99"], "documents that did not change keep their vectors"
    better = promote(make(dataset=grown(life_dataset()), salt=2), by="ana")
    assert better.decision == "promoted"


def test_a_served_release_that_cannot_be_measured_needs_an_override(make: Make) -> None:
    first = promote(make(), by="ana").release
    workspace = make(salt=1)
    report = part_folder(workspace, first.parts["benchmark_report"])
    report.with_name(f"{report.name}.dvc").unlink()
    (report / "benchmark.json").unlink()
    refused = promote(workspace, by="ana")
    assert refused.decision == "refused"
    assert "the served release cannot be measured" in refused.reason
    assert promote(workspace, by="ana", override="its report is lost").decision == "promoted"


def test_canaries_must_and_must_not(make: Make) -> None:
    workspace = make()
    canaries(
        workspace,
        {"query": "tell 6", "must": ["d6"], "must_not": ["d7"], "within": 1},
        {"query": "tell 8", "must": ["d8"]},
    )
    assert promote(workspace, by="ana").decision == "promoted"
    canaries(
        workspace,
        {"query": "tell 6", "must": ["d6", "d0"], "within": 1},
        {"query": "tell 8", "must_not": ["d8"]},
        {"query": "tell 9", "must": ["unknown"], "within": 24},
    )
    outcome = promote(make(salt=1), by="ana")
    assert outcome.reason == (
        "team_canaries: 0 of 3 canaries get what they must; 'tell 6' without d0 within 1; "
        "'tell 8' with d8 within 10; 'tell 9' without unknown within 24"
    )


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"query": "a"}, "neither must nor must_not"),
        ({"must": ["d1"]}, "query = .*Field required"),
        ({"query": "a", "must": "d1"}, "must = 'd1'"),
        ({"query": "a", "must_not": ["d\t1"]}, r"must_not = .*'d\\t1': it holds a tab"),
        ({"query": "a", "must": ["d1"], "within": 0}, "within = 0"),
        ({"query": "a", "must": ["d1"], "k": 3}, "k = 3"),
    ],
)
def test_a_malformed_canary_is_named(make: Make, row: dict[str, Any], message: str) -> None:
    workspace = make()
    canaries(workspace, {"query": "tell 6", "must": ["d6"]}, row)
    with pytest.raises(ConfigError, match=rf"canaries\.jsonl, line 2: {message}"):
        promote(workspace, by="ana")


def test_a_better_model_after_a_rollback_is_served(make: Make) -> None:
    promote(make(wrong=[11]), by="ana")
    promote(make(wrong=[]), by="ana")
    rollback(make(), by="eve")
    assert promote(make(salt=3), by="nightly").decision == "promoted"
