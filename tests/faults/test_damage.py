"""Truncated and bit-flipped files: found by their hash before they are used, named, repaired."""

import shutil
from pathlib import Path

import pytest

from rabtriever_core.config import Settings
from rabtriever_core.dvc.recording import record_stage, recorded_md5
from rabtriever_core.errors import (
    ArtifactError,
    IndexUnavailableError,
    RabtrieverError,
    ReleaseError,
    VersioningError,
)
from rabtriever_core.releases.live import check_served_index
from rabtriever_core.releases.promotion import promote, restore
from rabtriever_core.releases.record import read_releases
from rabtriever_core.releases.serving import SERVING_PARTS
from rabtriever_core.releases.store import part_folder
from rabtriever_core.stages import run_stage
from rabtriever_core.stages.registry import STAGES
from rabtriever_core.workspace.artifacts import load_artifact
from tests.faults.conftest import Cell, answers
from tests.faults.injection import DAMAGES, flip, in_a_process, seal_of_a_checkpoint
from tests.faults.matrix import (
    READER,
    RECORD,
    RELEASE,
    RESTORE,
    STAGE_NAMES,
    TRAINED,
    cells,
)

pytestmark = pytest.mark.slow

damages = pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.stat().st_size)


def _reader_of(stage: str, settings: Settings) -> str | None:
    """The first stage that reads a stage's artifact."""
    return next((s.name for s in STAGES if stage in s.inputs_with(settings)), None)


@damages
@pytest.mark.parametrize("stage", [c for c in cells("bit-flipped") if c in STAGE_NAMES])
def test_an_artifact(cell: Cell, stage: str, damage) -> None:
    workspace, artifact = cell.workspace, cell.workspace.artifact(stage)
    reader = _reader_of(stage, workspace.settings)
    for path in _files(artifact):
        whole = path.read_bytes()
        damage(path)
        with pytest.raises(ArtifactError, match=r"(?s)is damaged.*dvc checkout"):
            load_artifact(artifact)
        path.write_bytes(whole)
    damage(path)
    if reader is not None:
        with pytest.raises(ArtifactError, match=r"is damaged"):
            run_stage(workspace, reader)
    with pytest.raises(ArtifactError, match=r"is damaged"):
        promote(workspace, by="test")
    assert cell.is_served_as_before()
    assert not run_stage(workspace, stage).reused
    assert cell.is_what_it_should_be(stage)


@damages
@pytest.mark.parametrize("stage", TRAINED)
def test_a_checkpoint(cell: Cell, stage: str, damage) -> None:
    """A killed run's checkpoint that is damaged is not resumed from: the result is the same."""
    workspace = cell.without(stage).workspace
    scratch = workspace.work / stage
    in_a_process(
        lambda: run_stage(workspace, stage), killed_at=seal_of_a_checkpoint(scratch, "md5s.json")
    )
    found = [p for p in _files(scratch) if p.parent.name.startswith("checkpoint-10")]
    assert len(found) > 5
    damage(max(found, key=lambda path: path.stat().st_size))
    for path in _files(scratch):
        if path.suffix == ".safetensors" and not path.parent.name.startswith("checkpoint-"):
            damage(path)  # what was mined, and rolled out
    run_stage(workspace, stage)
    assert cell.is_what_it_should_be(stage)


@damages
def test_a_shard_of_a_killed_embedding(cell: Cell, damage) -> None:
    workspace = cell.without("document_embeddings").workspace
    scratch = workspace.work / "document_embeddings"
    in_a_process(
        lambda: run_stage(workspace, "document_embeddings"),
        killed_at=lambda event, arguments: (
            event == "os.rename" and str(arguments[1]).endswith("ids.json")
        ),
    )
    (shard,) = scratch.glob("*/checkpoints/vectors-*.safetensors")
    damage(shard)
    run_stage(workspace, "document_embeddings")
    assert cell.is_what_it_should_be("document_embeddings")


@damages
def test_record(cell: Cell, damage) -> None:
    workspace = cell.workspace
    lock = workspace.root / "dvc.lock"
    whole = lock.read_bytes()
    damage(lock)
    try:
        recorded_md5(workspace, "student")
        record_stage(workspace, "student")
    except VersioningError as error:
        assert "dvc.lock" in str(error)
    assert cell.is_served_as_before()
    lock.write_bytes(whole)
    assert record_stage(workspace, "student") == cell.hashes["student"]


@damages
def test_release(cell: Cell, damage) -> None:
    """Records and log of the releases."""
    workspace = cell.workspace
    for path in (workspace.root / "releases" / f"{cell.served[0]}.json",):
        whole = path.read_bytes()
        damage(path)
        for use in (lambda: promote(workspace, by="test"), lambda: answers(workspace)):
            with pytest.raises(ReleaseError, match=rf"{path.name} is damaged.*git checkout"):
                use()
        path.write_bytes(whole)
        assert cell.is_served_as_before()
    log = workspace.root / "releases" / "log.jsonl"
    whole = log.read_bytes()
    damage(log)
    try:
        promote(workspace, by="test")
    except ReleaseError as error:
        assert "log.jsonl, line 1 is damaged" in str(error)
        assert cell.is_served_as_before()
        log.write_bytes(whole)
        promote(workspace, by="test")
    assert answers(workspace) == cell.promoted


@damages
@pytest.mark.parametrize("part", SERVING_PARTS)
def test_reader_and_restore(cell: Cell, part: str, damage) -> None:
    """A damaged part of the served release is refused; DVC's cache brings it back."""
    workspace = cell.workspace
    release = read_releases(workspace)[cell.served[0]]
    for path in _files(part_folder(workspace, release.parts[part])):
        path.chmod(0o644)
        whole = path.read_bytes()
        damage(path)
        with pytest.raises(ReleaseError, match=rf"{part} missing or damaged.*releases restore"):
            answers(workspace)
        path.write_bytes(whole)
    damage(path)
    restore(workspace, by="eve")
    assert cell.is_served_as_before()


@damages
def test_restore_from_a_damaged_cache(cell: Cell, damage) -> None:
    """Neither store nor cache has it whole, and there is no remote: said, and nothing is served."""
    workspace = cell.workspace
    release = read_releases(workspace)[cell.served[0]]
    cache = workspace.root / ".dvc" / "cache" / "files" / "md5"
    folder = part_folder(workspace, release.parts["student"])
    weights = max(_files(folder), key=lambda path: path.stat().st_size)
    content = weights.read_bytes()
    (cached,) = [p for p in _files(cache) if p.read_bytes() == content]
    for path in (weights, cached):
        path.chmod(0o644)
        damage(path)
    with pytest.raises(ReleaseError, match=r"student.*(cache is damaged|neither in DVC's cache)"):
        restore(workspace, by="eve")
    with pytest.raises(ReleaseError, match="student missing or damaged"):
        answers(workspace)


def test_qdrants_folder_cut_short(cell: Cell) -> None:
    """Local mode's storage: refused with the way back, which needs neither training nor DVC."""
    workspace = cell.workspace
    release = read_releases(workspace)[cell.served[0]]
    for path in (
        workspace.qdrant / "meta.json",
        workspace.qdrant / "collection" / release.collection / "storage.sqlite",
    ):
        whole = path.read_bytes()
        DAMAGES["truncated"](path)
        with pytest.raises(IndexUnavailableError, match=r"is damaged .*releases restore"):
            answers(workspace)
        path.write_bytes(whole)
    assert cell.is_served_as_before()
    shutil.rmtree(workspace.qdrant)
    assert restore(workspace, by="eve").id == release.id
    assert cell.is_served_as_before()


def test_qdrants_folder_with_flipped_bits(cell: Cell) -> None:
    """A flip is refused, changes nothing, or the live check finds it; never anything else."""
    workspace = cell.workspace
    release = read_releases(workspace)[cell.served[0]]
    storage = workspace.qdrant / "collection" / release.collection / "storage.sqlite"
    whole = storage.read_bytes()
    outcomes = []
    for step in range(60):
        flip(storage, step / 59)
        try:
            changed = not cell.is_served_as_before()
            live = check_served_index(workspace)
        except RabtrieverError as error:
            outcomes.append(type(error).__name__)
        else:
            found = live.problem or live.agreement < 1 or live.count != live.expected_count
            assert found or not changed, f"wrong answers and nobody says so, flip {step}"
            outcomes.append("found" if found else "the same")
            if found:
                restore(workspace, by="eve")
                assert cell.is_served_as_before()
        storage.write_bytes(whole)
    assert {"IndexUnavailableError", "the same"} <= set(outcomes)
    assert cell.is_served_as_before()


def test_every_cell_is_there() -> None:
    tested = {*STAGE_NAMES, RECORD, RELEASE, RESTORE, READER}
    assert tested == set(cells("truncated")) == set(cells("bit-flipped"))
