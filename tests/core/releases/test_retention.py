"""What is kept, what goes, and that the served release never does."""

from datetime import UTC, datetime, timedelta

import pytest

from rabtriever_core.errors import ReleaseError
from rabtriever_core.index.connection import connect
from rabtriever_core.releases import retention
from rabtriever_core.releases.log import read_log, retired
from rabtriever_core.releases.promotion import promote, prune, rollback
from rabtriever_core.releases.record import read_releases
from rabtriever_core.releases.store import part_folder
from rabtriever_core.workspace import Workspace
from tests.asking import ask
from tests.core.releases.conftest import Make

KEEP_ONE = {"releases": {"keep": 1}, "index": {"keep_collections": 1}}


def collections(workspace: Workspace) -> set[str]:
    with connect(workspace.settings.index, workspace.qdrant) as client:
        return {collection.name for collection in client.get_collections().collections}


def stored(workspace: Workspace) -> set[str]:
    store = part_folder(workspace, "")
    folders = {path.name for path in store.iterdir() if path.is_dir()}
    assert folders == {path.stem for path in store.glob("*.dvc")}
    return folders


def test_the_served_one_and_the_one_before_stay_the_rest_goes(make: Make) -> None:
    releases = [promote(make(salt=salt, **KEEP_ONE), by="ana").release for salt in range(3)]
    workspace = make(salt=2, **KEEP_ONE)
    assert retired(read_log(workspace)) == {releases[0].id}
    assert list(read_releases(workspace)) == [release.id for release in releases]
    assert collections(workspace) == {release.collection for release in releases[1:]}
    hashes = {hash_ for release in releases[1:] for hash_ in release.parts.values()}
    assert stored(workspace) == {hash_.removesuffix(".dir") for hash_ in hashes}
    with pytest.raises(ReleaseError, match=r"0001-\w+ was retired"):
        rollback(workspace, "1", by="eve")
    assert rollback(workspace, by="eve").id == releases[1].id


def test_refused_candidates_push_out_neither(make: Make) -> None:
    first, second = (promote(make(salt=s, **KEEP_ONE), by="ana").release for s in range(2))
    for salt in range(2, 6):
        workspace = make(salt=salt, wrong=range(10, 20), **KEEP_ONE)
        assert promote(workspace, by="nightly").decision == "refused"
    assert {first.collection, second.collection} <= collections(workspace)
    assert len(collections(workspace)) == 3, "the last candidate can still be promoted"
    assert len(read_releases(workspace)) - len(retired(read_log(workspace))) == 3
    assert ask(workspace, "tell 12", 1).release.id == second.id
    assert rollback(workspace, by="eve").id == first.id


def test_shared_parts_stay_while_anyone_needs_them(make: Make) -> None:
    first = promote(make(**KEEP_ONE), by="ana").release
    for method in ("temperature", "platt", "temperature"):
        workspace = make(calibration={"method": method}, ms_p95=len(method), **KEEP_ONE)
        last = promote(workspace, by="ana").release
    assert first.id in retired(read_log(workspace))
    assert first.parts["teacher"] == last.parts["teacher"]
    assert collections(workspace) == {last.collection}
    assert ask(workspace, "tell 12", 1).hits[0].document_id == "d12"


@pytest.mark.parametrize(("days", "gone"), [(100, 1), (5, 0), (-5000, 0)])
def test_age_only_keeps_more(
    make: Make, monkeypatch: pytest.MonkeyPatch, days: int, gone: int
) -> None:
    policy = {"releases": {"keep": 1, "keep_days": 30}}
    for salt in range(3):
        workspace = make(salt=salt, **policy)
        promote(workspace, by="ana")
    assert not retired(read_log(workspace))
    later = datetime.now(UTC) + timedelta(days=days)
    monkeypatch.setattr(retention, "now", lambda: later)
    assert len(prune(workspace, by="ana")) == gone


def test_a_retirement_that_was_killed_is_finished(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(retention, "sweep", lambda *_: 1 / 0)
        for salt in range(3):
            workspace = make(salt=salt, **KEEP_ONE)
            with pytest.raises(ZeroDivisionError):
                promote(workspace, by="ana")
    assert len(retired(read_log(workspace))) == 1
    before = stored(workspace)
    assert prune(workspace, by="ana") == []
    assert stored(workspace) < before
    assert ask(workspace, "tell 12", 1).hits[0].document_id == "d12"
