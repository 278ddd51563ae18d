"""Promotion, refusal, override, rollback: what is served, recorded and logged."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from rabtriever_core.data.feedback import Judgement, add_feedback
from rabtriever_core.errors import IndexMismatchError, ReleaseError, StageBusyError
from rabtriever_core.index.aliases import alias_target, switch_alias
from rabtriever_core.index.connection import connect
from rabtriever_core.releases import log, promotion
from rabtriever_core.releases.log import read_log
from rabtriever_core.releases.promotion import promote, restore, rollback
from rabtriever_core.releases.record import Release, read_releases
from rabtriever_core.releases.served import what_is_served
from rabtriever_core.releases.store import part_folder
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import stage_lock
from tests.asking import ask
from tests.core.releases.conftest import Make
from tests.core.releases.life import Student


def served(workspace: Workspace) -> str | None:
    with connect(workspace.settings.index, workspace.qdrant) as client:
        found = what_is_served(client, workspace.alias)
    return found.release if found else None


def actions(workspace: Workspace) -> list[tuple[str, str]]:
    return [(event.action, event.release) for event in read_log(workspace)]


def test_the_first_candidate_above_the_floors_is_served(make: Make) -> None:
    workspace = make()
    with pytest.raises(IndexMismatchError, match=r"serves nothing.*releases restore"):
        ask(workspace, "tell 5", 3)
    outcome = promote(workspace, by="ana")
    release = outcome.release
    assert (outcome.decision, release.number, release.parent) == ("promoted", 1, None)
    assert served(workspace) == release.id == f"0001-{release.id[-6:]}"
    assert all(gate.passed for gate in release.gates)
    assert set(release.parts) >= {"data", "teacher", "student", "benchmark_report", "backbone"}
    assert release.metrics["test"]["student"]["MRR@10"] == 1.0
    assert release.settings["index"]["probe_queries"] == 2
    answer = ask(workspace, "tell 5", 3)
    assert (answer.release.id, answer.hits[0].document_id) == (release.id, "d5")
    assert 0 < answer.hits[0].probability < 1
    (event,) = read_log(workspace)
    assert (event.action, event.release, event.by) == ("promote", release.id, "ana")


def test_feedback_that_comes_before_the_release_stops_nothing(make: Make) -> None:
    workspace = make()
    judged = Judgement("why?", "d1", True, None, None, datetime(2026, 1, 2, tzinfo=UTC))
    add_feedback(workspace.dataset_folder, judged, workspace.work / "lock")
    assert promote(workspace, by="ana").decision == "promoted"
    workspace = make(salt=1)
    with (workspace.dataset_folder / "queries.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"_id": "late", "text": "tell 99"}\n')
    with pytest.raises(ReleaseError, match="changed after it was validated"):
        promote(workspace, by="ana")


def test_a_record_survives_its_file(make: Make) -> None:
    workspace = make()
    release = promote(workspace, by="ana").release
    assert read_releases(workspace) == {release.id: release}
    path = workspace.root / "releases" / f"{release.id}.json"
    values = json.loads(path.read_text())
    assert Release.model_validate({k: v for k, v in values.items() if k != "checksum"}) == release
    flipped = path.read_text().replace('"count": 24', '"count": 25')
    assert flipped != path.read_text()
    (workspace.root / "kept.json").write_text(path.read_text())
    path.write_text(flipped)
    with pytest.raises(ReleaseError, match=r"is damaged \(its checksum differs\).*git checkout"):
        read_releases(workspace)
    path.write_text((workspace.root / "kept.json").read_text())
    path.write_text(path.read_text()[:-50])
    with pytest.raises(ReleaseError, match=rf"{release.id}\.json is damaged.*git checkout"):
        read_releases(workspace)


def test_the_same_artifacts_are_the_same_release(make: Make) -> None:
    workspace = make()
    first = promote(workspace, by="ana")
    again = promote(workspace, by="ana")
    assert (again.decision, again.release) == ("served already", first.release)
    assert len(read_log(workspace)) == 1


def test_a_worse_candidate_is_refused_and_the_served_one_stays(make: Make) -> None:
    first = promote(make(), by="ana").release
    workspace = make(salt=1, wrong=[11, 12])
    outcome = promote(workspace, by="nightly")
    assert outcome.decision == "refused"
    assert re.match(r"not_worse: test MRR@10 0\.\d+ against 1\.0000 \(-0\.\d+", outcome.reason)
    assert served(workspace) == first.id
    assert ask(workspace, "tell 12", 1).hits[0].document_id == "d12"
    event = read_log(workspace)[-1]
    assert (event.action, event.release, event.by) == ("refused", outcome.release.id, "nightly")
    assert event.reason == outcome.reason
    recorded = read_releases(workspace)[outcome.release.id]
    assert recorded.parent == first.id
    assert [gate.name for gate in recorded.gates if not gate.passed] == ["not_worse"]


def test_an_override_serves_it_and_leaves_name_and_reason(make: Make) -> None:
    promote(make(), by="ana")
    workspace = make(salt=1, wrong=[11, 12])
    refused = promote(workspace, by="nightly").release
    promote(workspace, refused.id, by="ben", override="the old one knows a recalled product")
    assert served(workspace) == refused.id
    override = read_releases(workspace)[refused.id].override
    assert override is not None
    assert (override.by, override.reason) == ("ben", "the old one knows a recalled product")
    event = read_log(workspace)[-1]
    assert (event.action, event.by) == ("override", "ben")
    assert "recalled product (not passed: not_worse" in event.reason


def test_rollback_and_what_a_schedule_then_does(make: Make) -> None:
    first = promote(make(), by="ana").release
    workspace = make(salt=1)
    second = promote(workspace, by="ana").release
    assert served(workspace) == second.id
    assert rollback(workspace, by="eve", reason="complaints").id == first.id
    assert served(workspace) == first.id
    assert ask(workspace, "tell 6", 1).hits[0].document_id == "d6"
    # The artifacts are still the second's: a scheduled run must not undo what somebody decided.
    scheduled = promote(workspace, by="nightly")
    assert scheduled.decision == "refused"
    assert "eve rolled back from" in scheduled.reason
    assert served(workspace) == first.id
    assert promote(workspace, second.id, by="ana").decision == "promoted"
    assert rollback(workspace, by="eve").id == first.id
    assert [action for action, _ in actions(workspace)] == [
        "promote",
        "promote",
        "rollback",
        "refused",
        "promote",
        "rollback",
    ]


def test_rollback_builds_a_collection_again_that_is_gone(make: Make, student: Any) -> None:
    first = promote(make(), by="ana").release
    workspace = make(salt=1)
    promote(workspace, by="ana")
    before = len(student.encoded)
    with connect(workspace.settings.index, workspace.qdrant) as client:
        client.delete_collection(first.collection)
    rollback(workspace, "1", by="eve")
    assert len(student.encoded) == before, "vectors come from the store"
    with connect(workspace.settings.index, workspace.qdrant) as client:
        assert alias_target(client, "demo") == first.collection
        assert client.count(first.collection).count == first.count
    assert ask(workspace, "tell 6", 1).hits[0].document_id == "d6"


def test_only_a_calibration_changes_and_the_collection_is_shared(make: Make) -> None:
    first = promote(make(), by="ana").release
    workspace = make(calibration={"method": "temperature"})
    second = promote(workspace, by="ana").release
    assert (second.collection, served(workspace)) == (first.collection, second.id)
    assert ask(workspace, "tell 6", 1).calibration.bias == 0
    rollback(workspace, by="eve")
    assert served(workspace) == first.id
    assert ask(workspace, "tell 6", 1).calibration.bias != 0


def test_a_release_is_served_from_its_store_not_from_the_artifacts(make: Make) -> None:
    promote(make(), by="ana")
    workspace = make(salt=1)  # another teacher in artifacts/, not promoted
    assert ask(workspace, "tell 6", 1).hits[0].document_id == "d6"


def test_damage_in_the_store_is_refused_and_repaired(make: Make) -> None:
    workspace = make()
    release = promote(workspace, by="ana").release
    weights = part_folder(workspace, release.parts["teacher"]) / "weights"
    weights.write_text("7")
    with pytest.raises(ReleaseError, match=r"teacher missing or damaged.*releases restore"):
        ask(workspace, "tell 6", 1)
    restore(workspace, by="eve")
    assert ask(workspace, "tell 6", 1).hits[0].document_id == "d6"


def test_two_promoters_at_once(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    first = promote(make(), by="ana").release
    workspace = make(salt=1)
    with (
        stage_lock(workspace.work, "release"),
        pytest.raises(StageBusyError, match="another process is building `release`"),
    ):
        promote(workspace, by="ben")
    # On another machine no lock helps: the alias moves while the gates are evaluated.
    evaluate = promotion.evaluate

    def meanwhile(*arguments: Any, **options: Any) -> Any:
        with connect(workspace.settings.index, workspace.qdrant) as client:
            client.create_collection(
                "demo__ffffffffffff",
                client.get_collection(first.collection).config.params.vectors,
                metadata={"release": "0009-abcdef"},
            )
            switch_alias(client, "demo", "demo__ffffffffffff")
        return evaluate(*arguments, **options)

    monkeypatch.setattr(promotion, "evaluate", meanwhile)
    with pytest.raises(ReleaseError, match=r"served 0001-\w+ .* serves 0009-abcdef .*now"):
        promote(workspace, by="ben")
    assert served(workspace) == "0009-abcdef"


def test_a_clock_that_goes_backwards_changes_no_order(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for salt, year in enumerate((2030, 2020, 2025)):
        monkeypatch.setattr(
            "rabtriever_core.releases.candidate.now", lambda y=year: datetime(y, 1, 1, tzinfo=UTC)
        )
        monkeypatch.setattr(log, "now", lambda y=year: datetime(y, 1, 1, tzinfo=UTC))
        workspace = make(salt=salt)
        promote(workspace, by="ana")
    releases = list(read_releases(workspace).values())
    assert [release.number for release in releases] == [1, 2, 3]
    assert [release.parent for release in releases] == [None, *(r.id for r in releases[:2])]
    assert rollback(workspace, by="eve").number == 2
    assert served(workspace) == releases[1].id


def test_a_release_of_another_machine_is_named(make: Make) -> None:
    workspace = make()
    release = promote(workspace, by="ana").release
    (workspace.root / "releases" / f"{release.id}.json").rename(workspace.root / "elsewhere.json")
    with pytest.raises(ReleaseError, match=r"no record .*git pull"):
        ask(workspace, "tell 6", 1)
    with pytest.raises(ReleaseError, match=r"serves release 0001-\w+, of which there is no rec"):
        restore(workspace, by="ana")
    changed = make(salt=1)
    refused = promote(changed, by="ana")
    assert (refused.decision, refused.failed[0].name) == ("refused", "not_worse")


def test_the_log_catches_up_with_a_promotion_that_was_killed(make: Make) -> None:
    workspace = make()
    release = promote(workspace, by="ana").release
    (workspace.root / "releases" / "log.jsonl").unlink()
    promote(workspace, by="ben")
    assert actions(workspace) == [("found", release.id)]


def test_a_damaged_log_is_named(make: Make) -> None:
    workspace = make()
    promote(workspace, by="ana")
    path = workspace.root / "releases" / "log.jsonl"
    path.write_text(path.read_text() + json.dumps({"action": "dance"}) + "\n")
    with pytest.raises(ReleaseError, match=r"log\.jsonl, line 2 is damaged"):
        promote(workspace, by="ana")


def test_the_students_of_these_tests_do_differ() -> None:
    queries = [f"tell {i}" for i in range(10, 20)]
    a, b = Student(0, []).encode_queries(queries), Student(1, []).encode_queries(queries)
    assert (abs((a @ b.T).diagonal()) < 0.9).all()
