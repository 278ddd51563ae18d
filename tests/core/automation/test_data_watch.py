"""New data are noticed by content, wait until they stay as they are, and start one run."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rabtriever_core.automation.data_watch import (
    Data,
    Decision,
    Watch,
    decide,
    observe,
    parse_watch,
    validated_content,
)
from rabtriever_core.config import Settings
from rabtriever_core.data.dataset import write_dataset
from rabtriever_core.data.feedback import Judgement, add_feedback
from rabtriever_core.errors import DatasetError
from rabtriever_core.workspace import Workspace
from tests.core.releases.life import grown, life_dataset


def data(content: str, recorded: str = "f-a") -> Data:
    return Data(stamp=f"s-{content}", content=content, folder=f"f-{content}", recorded=recorded)


class Looks:
    """A sensor's memory, and a clock."""

    def __init__(self, validated: str | None = "a") -> None:
        self.text: str | None = None
        self.validated = validated

    def at(self, now: float, seen: Data, settle: float = 60) -> Decision:
        """What a look at this time decides."""
        before = parse_watch(self.text)
        decision = decide(seen, before, now=now, settle_seconds=settle, validated=self.validated)
        self.text = decision.watch.model_dump_json()
        return decision


def test_data_that_were_validated_need_no_run() -> None:
    looks = Looks()
    assert looks.at(0, data("a")).news is None
    assert looks.at(1000, data("a")).news is None


def test_new_files_start_one_run_once_they_stay_as_they_are() -> None:
    looks = Looks()
    looks.at(0, data("a"))
    assert looks.at(30, data("half")).news is None
    assert looks.at(60, data("b")).news is None  # still being copied at 30
    waiting = looks.at(119, data("b"))
    assert (waiting.news, "1 s to go" in waiting.reason) == (None, True)
    found = looks.at(120, data("b"))
    assert (found.news, found.key) == ("files", "files-b-60")
    assert looks.at(150, data("b")).news is None
    # The run records them, then validates them.
    assert looks.at(180, data("b", recorded="f-b")).news is None
    looks.validated = "b"
    assert looks.at(210, data("b", recorded="f-b")).news is None


def test_the_same_content_later_is_news_again_with_another_key() -> None:
    looks = Looks()
    keys = []
    for start, content in ((0, "b"), (1000, "a"), (2000, "b")):
        looks.at(start, data(content, recorded="f-x"))
        found = looks.at(start + 100, data(content, recorded="f-x"))
        looks.validated = content
        keys.append((found.news, found.key))
    assert [news for news, _ in keys] == ["files"] * 3
    assert len({key for _, key in keys}) == 3


def test_a_tick_that_is_asked_again_gives_the_same_key() -> None:
    looks = Looks()
    looks.at(0, data("b"))
    remembered = looks.text
    first = looks.at(100, data("b"))
    looks.text = remembered  # the daemon died before it kept the cursor
    assert looks.at(200, data("b")).key == first.key


def test_a_new_record_asks_for_its_files_and_these_start_nothing_more() -> None:
    looks = Looks()
    looks.at(0, data("a", recorded="f-a"))
    assert looks.at(10, data("a", recorded="f-b")).news is None
    assert looks.at(80, data("a", recorded="f-b")).news == "data.dvc"
    # The run checks them out, and validates them some time later.
    for now in (90, 300, 600):
        assert looks.at(now, data("b", recorded="f-b")).news is None
    looks.validated = "b"
    assert looks.at(900, data("b", recorded="f-b")).news is None


def test_a_record_that_came_while_nobody_looked_is_news() -> None:
    looks = Looks(validated="a")
    looks.at(0, data("a", recorded="f-b"))
    assert looks.at(100, data("a", recorded="f-b")).news == "data.dvc"


@pytest.mark.parametrize("validated", ["a", None])
@pytest.mark.parametrize("recorded", ["f-a", "f-b", ""])
def test_files_that_came_while_nobody_looked_are_news(validated: str | None, recorded: str) -> None:
    looks = Looks(validated)
    looks.at(0, data("b", recorded))
    assert looks.at(100, data("b", recorded)).news == "files"


def test_files_and_record_that_both_changed_are_for_people() -> None:
    looks = Looks()
    looks.at(0, data("a", recorded="f-a"))
    for now in (10, 100, 1000):
        decision = looks.at(now, data("mine", recorded="f-b"))
        assert decision.news is None
    assert "dvc checkout data.dvc" in decision.reason
    assert looks.at(2000, data("b", recorded="f-b"), settle=0).news == "files"


def test_a_clock_that_goes_backwards_waits_anew() -> None:
    looks = Looks()
    looks.at(1000, data("b"))
    assert looks.at(100, data("b")).news is None
    assert looks.at(159, data("b")).news is None
    assert looks.at(160, data("b")).news == "files"


@given(
    st.lists(st.tuples(st.floats(0, 100), st.sampled_from("abc")), min_size=1, max_size=30),
    st.floats(0, 200),
)
def test_no_run_is_started_of_content_that_did_not_stay(
    steps: list[tuple[float, str]], settle: float
) -> None:
    looks, now, since = Looks(), 0.0, 0.0
    last, previous_run = "", ""
    for step, content in steps:
        now += step
        since = since if content == last else now
        last = content
        decision = looks.at(now, data(content), settle)
        if decision.news:
            assert now - since >= settle
            assert content not in ("a", previous_run)
            previous_run = content
        elif content == "a":
            previous_run = ""


def test_memory_of_another_version_is_none() -> None:
    assert parse_watch(None) is None
    assert parse_watch("") is None
    assert parse_watch('{"seen": 3}') is None
    watch = Watch(data=data("a"), since=1.5, done_content="a", done_recorded="")
    assert parse_watch(watch.model_dump_json()) == watch


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path, Settings())
    write_dataset(life_dataset(), workspace.dataset_folder)
    (tmp_path / "data.dvc").write_text("outs:\n- md5: abc.dir\n  path: data\n")
    return workspace


def test_content_is_what_counts_and_files_are_read_when_their_stamp_changes(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = observe(workspace, None)
    assert first.recorded == "abc.dir"
    watch = Watch(data=first, since=0, done_content=first.content, done_recorded="abc.dir")
    with monkeypatch.context() as patch:
        patch.delattr("rabtriever_core.automation.data_watch.fingerprint")
        assert observe(workspace, watch) == first
    os.utime(workspace.dataset_folder / "corpus.jsonl", (1, 1))
    touched = observe(workspace, watch)
    assert (touched.stamp != first.stamp, touched.content) == (True, first.content)
    write_dataset(grown(life_dataset()), workspace.dataset_folder)
    assert observe(workspace, watch).content != first.content


def test_a_folder_without_all_its_files_is_not_looked_at(workspace: Workspace) -> None:
    (workspace.dataset_folder / "queries.jsonl").unlink()
    with pytest.raises(DatasetError, match=r"queries\.jsonl"):
        observe(workspace, None)


def test_data_that_lie_elsewhere_are_watched_without_a_record(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    write_dataset(life_dataset(), elsewhere)
    settings = Settings.model_validate({"dataset": {"folder": str(elsewhere), "demo": False}})
    seen = observe(Workspace(tmp_path / "work", settings), None)
    assert (seen.folder, seen.recorded) == ("", "")


def test_validated_content_is_none_without_an_artifact(workspace: Workspace) -> None:
    assert validated_content(workspace) is None
    folder = workspace.artifact("validated_dataset")
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text("{")
    assert validated_content(workspace) is None


def test_feedback_is_news(workspace: Workspace) -> None:
    first = observe(workspace, None)
    watch = Watch(data=first, since=0, done_content=first.content, done_recorded="abc.dir")
    judged = Judgement("why?", "d1", True, None, None, datetime(2026, 1, 2, tzinfo=UTC))
    add_feedback(workspace.dataset_folder, judged, workspace.work / "lock")
    seen = observe(workspace, watch)
    assert (seen.stamp != first.stamp, seen.content != first.content) == (True, True)
    waiting = decide(seen, watch, now=10, settle_seconds=5, validated=first.content)
    assert waiting.news is None
    decided = decide(seen, waiting.watch, now=16, settle_seconds=5, validated=first.content)
    assert decided.news == "files"
