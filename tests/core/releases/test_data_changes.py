"""A version of the data against the one before: figures, bounds, leaks."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rabtriever_core.automation.retraining import retraining_needed
from rabtriever_core.config import RetrainingConfig, Settings
from rabtriever_core.data.change_verdict import read_verdict, verdict_file
from rabtriever_core.data.changes import Rows, compare
from rabtriever_core.data.dataset import Dataset, Document, write_dataset
from rabtriever_core.data.profile import Profile, is_comparable
from rabtriever_core.errors import ArtifactError, ValidationStoppedError
from rabtriever_core.releases.data_changes import PAGE, PLOT, compare_versions, score_drift
from rabtriever_core.releases.promotion import promote
from rabtriever_core.releases.record import read_releases
from rabtriever_core.stages.registry import stage_named
from rabtriever_core.stages.run import load_inputs
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import build_artifact
from rabtriever_core.workspace.identity import Identity
from tests.core.releases.life import grown, life_dataset

Make = Callable[..., Workspace]


def validated(
    root: Path, dataset: Dataset, *, passed: bool = True, **sections: object
) -> Workspace:
    """What the stage would leave of a sound data set."""
    workspace = Workspace(root, Settings.model_validate(sections))

    def make(output: Path, _: Path) -> dict[str, object]:
        write_dataset(dataset, output)
        Profile.of(dataset, "train").save(output)
        return {"passed": passed, "broken": [] if passed else ["rule"]}

    build_artifact(
        workspace.artifact("validated_dataset"),
        work=workspace.work,
        identity=Identity(
            stage="validated_dataset",
            version=1,
            config={"passed": passed},
            parents={},
            dataset=dataset.fingerprint,
        ),
        make=make,
    )
    return workspace


def leaking(dataset: Dataset) -> Dataset:
    """The test query q12 is moved to training, q13 under another id, written differently."""
    qrels = {split: dict(rows) for split, rows in dataset.qrels.items()}
    del qrels["test"]["q12"], qrels["test"]["q13"]
    qrels["train"] |= {"q12": {"d12": 1}, "copy": {"d13": 1}}
    return replace(dataset, queries=dataset.queries | {"copy": " TELL  13"}, qrels=qrels)


def test_equal_versions_differ_in_nothing_and_drifts_are_bounded() -> None:
    dataset = life_dataset()
    same = compare(Profile.of(dataset, "train"), Profile.of(dataset, "train"), dataset, "train")
    assert not any(rows.differ for rows in same.rows.values())
    figures = [*same.lengths.values(), *same.words.values(), *same.unseen.values()]
    assert {*figures, same.labels, same.answers, same.training} == {0.0}
    assert same.leaked == {}


def test_rows_and_drifts_of_a_made_change() -> None:
    before = life_dataset()
    documents = (
        *(replace(d, text=f"{d.text} entirely new words follow") for d in before.documents[:6]),
        *before.documents[6:20],
        Document("d99", "tale 99"),
    )
    qrels = {**before.qrels, "train": {**before.qrels["train"], "q0": {"d1": 1}}}
    now = replace(before, documents=documents, qrels=qrels)
    found = compare(Profile.of(before, "train"), Profile.of(now, "train"), now, "train")
    assert found.rows["documents"] == Rows(before=24, now=21, added=1, removed=4, changed=6)
    assert found.rows["documents"].removed_share == pytest.approx(4 / 24)
    assert found.rows["queries"] == Rows(before=20, now=20, added=0, removed=0, changed=0)
    assert found.rows["judgements"] == Rows(before=20, now=20, added=1, removed=1, changed=0)
    # 42 running words of 21 documents, and 24 more; d99's number and the 24 were unknown.
    assert found.unseen["documents"] == pytest.approx(25 / 66, abs=1e-6)
    assert found.lengths["documents"] == pytest.approx(6 / 21, abs=0.02)
    assert 0 < found.words["documents"] < 1
    assert found.words["queries"] == found.unseen["queries"] == found.labels == 0
    assert found.answers > 0
    # Every example names another text now.
    assert found.training == 1.0


def test_a_profile_of_an_earlier_form_is_taken_anew(tmp_path: Path) -> None:
    dataset = life_dataset()
    write_dataset(dataset, tmp_path)
    earlier = Profile.of(dataset, "train")
    arrays = {name: array + 1 for name, array in earlier.arrays.items() if name != "form"}
    Profile(arrays).save(tmp_path)
    assert not is_comparable(tmp_path)
    found = compare(Profile.load(tmp_path, "train"), earlier, dataset, "train")
    assert {*found.words.values(), *found.unseen.values()} == {0.0}
    earlier.save(tmp_path)
    assert is_comparable(tmp_path)


def test_an_earlier_profile_alone_is_no_version_to_compare_with(tmp_path: Path) -> None:
    dataset = life_dataset()
    workspace = validated(tmp_path, dataset)
    assert compare_versions(workspace).previous is None
    remembered = Profile.load(workspace.data_changes / "last", "train")
    Profile({k: v for k, v in remembered.arrays.items() if k != "form"}).save(
        workspace.data_changes / "last"
    )
    workspace = validated(tmp_path, replace(dataset, documents=dataset.documents[:-1]))
    assert compare_versions(workspace).previous is None


def test_texts_without_spaces_drift_by_their_characters() -> None:
    said = ["我最近失眠让我很难受", "一想到考试心里乱糟糟的", "这个月房租怎么办才好"]
    before = replace(life_dataset(), queries={f"q{n}": said[n % 3] for n in range(20)})
    again = replace(before, queries={q: f"{t}，{t}" for q, t in before.queries.items()})
    other = replace(before, queries={q: "打印机又坏了没有纸" for q in before.queries})
    profiles = [Profile.of(dataset, "train") for dataset in (before, again, other)]
    unseen = [
        compare(profiles[0], now, version, "train").unseen["queries"]
        for now, version in ((profiles[1], again), (profiles[2], other))
    ]
    assert unseen == [0.0, 1.0]


def test_changed_metadata_are_changed_rows_and_nothing_more() -> None:
    before = life_dataset()
    first, second, *rest = before.documents
    told = (replace(first, metadata={"a": 1, "b": 2}), replace(second, metadata={"a": 1}), *rest)
    with_some = replace(before, documents=told)
    again = (replace(first, metadata={"b": 2, "a": 1}), replace(second, metadata={"a": 1.0}), *rest)
    now = replace(before, documents=again)
    profiles = [Profile.of(dataset, "train") for dataset in (before, with_some, now)]
    for earlier, later, changed in ((0, 1, 2), (1, 2, 1), (2, 0, 2)):
        found = compare(profiles[earlier], profiles[later], before, "train")
        assert found.rows["documents"] == Rows(
            before=24, now=24, added=0, removed=0, changed=changed
        )
        assert found.training == 0
        assert {*found.lengths.values(), *found.words.values()} == {0.0}
    need = retraining_needed(profiles[0], profiles[1], RetrainingConfig())
    assert need.kind == "reindex"


def test_a_profile_is_the_same_in_any_order_and_survives_the_disk(tmp_path: Path) -> None:
    dataset = life_dataset()
    shuffled = replace(
        dataset,
        documents=dataset.documents[::-1],
        queries=dict(reversed(dataset.queries.items())),
        qrels={s: dict(reversed(rows.items())) for s, rows in dataset.qrels.items()},
    )
    for name, version in (("a", dataset), ("b", shuffled)):
        Profile.of(version, "train").save(tmp_path / name)
    files = [(tmp_path / name / "profile.safetensors").read_bytes() for name in ("a", "b")]
    assert files[0] == files[1]
    loaded = Profile.load(tmp_path / "a", "train")
    assert (
        not compare(loaded, Profile.of(dataset, "train"), dataset, "train").rows["queries"].differ
    )
    (tmp_path / "a" / "profile.safetensors").write_bytes(files[0][:-40])
    with pytest.raises(ArtifactError, match="validate the data again"):
        Profile.load(tmp_path / "a", "train")


def test_the_first_version_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    workspace = validated(tmp_path, life_dataset())
    verdict = compare_versions(workspace)
    assert (verdict.previous, verdict.changes, verdict.broken) == (None, None, ())
    assert compare_versions(workspace) == verdict
    load_inputs(workspace, stage_named("backbone"))


def test_leaked_test_queries_stop_the_chain(tmp_path: Path) -> None:
    compare_versions(validated(tmp_path, life_dataset()))
    workspace = validated(tmp_path, leaking(life_dataset()))
    verdict = compare_versions(workspace)
    (line,) = verdict.broken
    assert "test_queries_stay_unseen" in line
    assert "'q12'" in line
    assert "'copy'" in line
    assert verdict.changes is not None
    assert verdict.changes["leaked"] == {"q12": "test", "copy": "test"}
    page = (workspace.data_changes / PAGE).read_text(encoding="utf-8")
    assert "Nothing runs on this version: it breaks test_queries_stay_unseen" in page
    assert (workspace.data_changes / PLOT).read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValidationStoppedError, match="test_queries_stay_unseen"):
        load_inputs(workspace, stage_named("backbone"))
    assert compare_versions(workspace) == verdict, "it stays refused, and is not its own measure"

    allowed = validated(
        tmp_path,
        leaking(life_dataset()),
        validation={"changes": {"leaked_queries": "warn"}},
    )
    verdict = compare_versions(allowed)
    assert not verdict.broken
    assert any("test_queries_stay_unseen" in line for line in verdict.warnings)
    load_inputs(allowed, stage_named("backbone"))


def test_too_many_rows_gone_stop_the_chain(tmp_path: Path) -> None:
    dataset = life_dataset()
    compare_versions(validated(tmp_path, dataset))
    kept = {q: t for q, t in dataset.queries.items() if int(q[1:]) < 8}
    qrels = {s: {q: d for q, d in r.items() if q in kept} for s, r in dataset.qrels.items()}
    cut = validated(tmp_path, replace(dataset, queries=kept, qrels=qrels))
    (line,) = compare_versions(cut).broken
    assert line.startswith("removed_rows")
    assert "60.0% of a table's rows are gone" in line


def test_an_unfit_version_is_never_what_others_are_compared_with(tmp_path: Path) -> None:
    compare_versions(validated(tmp_path, life_dataset()))
    compare_versions(validated(tmp_path, leaking(life_dataset()), passed=False))
    verdict = compare_versions(validated(tmp_path, grown(life_dataset())))
    assert verdict.changes is not None
    assert verdict.changes["rows"]["queries"]["added"] == 1


def test_the_served_release_is_what_counts(make: Make) -> None:
    first = promote(make(), by="test").release
    assert compare_versions(make()).changes is None, "the served data themselves"
    workspace = make(dataset=grown(life_dataset()))
    verdict = compare_versions(workspace)
    assert verdict.previous is not None
    assert verdict.previous.release == first.id
    assert verdict.scores is not None
    assert verdict.scores["drift"] < 0.1, "one query of 21 is new"
    assert verdict.changes is not None
    assert verdict.changes["rows"]["documents"] == {
        "before": 24,
        "now": 24,
        "added": 1,
        "removed": 1,
        "changed": 0,
    }
    served = read_releases(workspace)[first.id]
    strange = replace(life_dataset(), queries={f"q{i}": f"tell {i + 500}" for i in range(20)})
    drift = score_drift(workspace, served, strange)
    assert drift["drift"] == 1.0
    assert drift["now"] < drift["before"]


def test_a_damaged_verdict_is_said(tmp_path: Path) -> None:
    workspace = validated(tmp_path, life_dataset())
    compare_versions(workspace)
    assert read_verdict(workspace) is not None
    verdict_file(workspace).write_text("{")
    with pytest.raises(ArtifactError, match="delete it"):
        load_inputs(workspace, stage_named("backbone"))
