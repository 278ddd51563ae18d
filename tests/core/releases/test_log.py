"""The log of promotions: whatever is written can be read back, whoever edited the file since."""

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rabtriever_core.config import Settings
from rabtriever_core.errors import ReleaseError
from rabtriever_core.releases import log
from rabtriever_core.releases.log import append, read_log
from rabtriever_core.releases.promotion import promote, rollback
from rabtriever_core.releases.record import Override, read_releases, releases_folder, write_record
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.encodable import encodable
from tests.core.any_text import all_of_unicode, any_text
from tests.core.releases.conftest import Make


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("work"), Settings())


@settings(deadline=None, max_examples=200)
@given(entries=st.lists(st.tuples(any_text, any_text), max_size=4))
def test_every_reason_and_name_is_read_back(
    entries: list[tuple[str, str]], empty: Workspace
) -> None:
    shutil.rmtree(releases_folder(empty), ignore_errors=True)
    for by, reason in entries:
        append(empty, "rollback", "0001-abcdef", by, reason)
    read = [(event.by, event.reason) for event in read_log(empty)]
    assert read == [(encodable(by), encodable(reason)) for by, reason in entries]
    for written, given_ in zip(read, entries, strict=True):
        if all(text.isascii() for text in given_):
            assert written == given_, "only what is no text is spelt out"


def test_no_character_ends_a_line(empty: Workspace) -> None:
    shutil.rmtree(releases_folder(empty), ignore_errors=True)
    reasons = all_of_unicode()
    for reason in reasons:
        append(empty, "refused", "0001-abcdef", "ana", reason)
    assert [event.reason for event in read_log(empty)] == list(map(encodable, reasons))


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.removesuffix("\n"),
        lambda text: f"\ufeff{text}\n\n",
        lambda text: f"\n{text}",
    ],
    ids=["other line ends", "no last line end", "a mark and blank lines", "a blank line first"],
)
def test_a_file_that_an_editor_saved_stays_readable(edit, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, Settings())
    for number in (1, 2):
        append(workspace, "promote", f"000{number}-abcdef", "ana", "why\u2028not")
    path = releases_folder(workspace) / log.FILE
    path.write_bytes(edit(path.read_text(encoding="utf-8")).encode())
    append(workspace, "rollback", "0001-abcdef", "ben")
    assert [event.action for event in read_log(workspace)] == ["promote", "promote", "rollback"]


@pytest.mark.parametrize("line", [b"{", b"\xff", b"<<<<<<< HEAD"])
def test_a_line_that_is_none_is_named(line: bytes, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, Settings())
    append(workspace, "promote", "0001-abcdef", "ana")
    path = releases_folder(workspace) / log.FILE
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(
        ReleaseError, match=r"log\.jsonl, line 2 is damaged .*restore the file from git"
    ):
        read_log(workspace)


def test_a_reason_of_any_bytes_goes_through_every_record(make: Make) -> None:
    odd = "complaints\u2028see\u0085ticket \udcff\x00\r\n12"
    first = promote(make(), by=odd).release
    candidate = promote(make(salt=1, wrong=[11]), by="ana", override=odd).release
    assert candidate.override is not None
    workspace = make(salt=2)
    rollback(workspace, "1", by=odd, reason=odd)
    assert read_log(workspace)[-1].reason == encodable(odd)
    assert read_releases(workspace)[first.id].created_by == encodable(odd)
    assert promote(workspace, by="ana").decision == "promoted", "nothing is broken afterwards"


@settings(deadline=None, max_examples=100)
@given(text=any_text)
def test_every_record_of_a_release_is_read_back(text: str, record, tmp_path_factory) -> None:
    workspace = Workspace(tmp_path_factory.getbasetemp() / "records", Settings())
    override = Override(by=text, reason=text, time=record.created)
    written = record.model_copy(update={"override": override})
    write_record(workspace, written)
    assert read_releases(workspace) == {written.id: written}


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory):
    from datetime import UTC, datetime

    from rabtriever_core.releases.record import Release

    parts = {"teacher": "a.dir"}
    return Release(
        id="0001-abcdef", number=1, parent=None, alias="demo", dataset="demo", fingerprint="f",
        data="d", parts=parts, collection="c", count=1, dimension=1, settings={},
        settings_hash="s", commit=None, dirty=False, metrics={},
        created=datetime(2026, 1, 2, tzinfo=UTC), created_by="ana",
    )  # fmt: skip
