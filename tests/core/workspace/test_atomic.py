"""Files are written beside themselves, then into place."""

import json
import multiprocessing
import os
import signal
import stat
from pathlib import Path

import pytest

from rabtriever_core.workspace.atomic import (
    replacing,
    write_bytes,
    write_json,
    write_json_lines,
    write_text,
)


def test_a_file_is_written_with_the_folders_above_it(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "b" / "note.md", "Grüße\n")
    write_bytes(tmp_path / "raw", b"\x00\xff")
    write_json(tmp_path / "value.json", {"name": "Zoë", "n": [1, 2]})
    assert (tmp_path / "a" / "b" / "note.md").read_bytes() == "Grüße\n".encode()
    assert (tmp_path / "raw").read_bytes() == b"\x00\xff"
    text = (tmp_path / "value.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"name": "Zoë", "n": [1, 2]}
    assert "Zoë" in text
    assert text.endswith("}\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "raw", "value.json"]


def test_json_lines_are_one_value_each_and_hold_broken_text(tmp_path: Path) -> None:
    rows = [{"text": "Grüße\nan alle"}, {"text": "half a pair: \udc80"}]
    rows.append({"text": "every\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029line\r\nend \\\u2028"})
    write_json_lines(tmp_path / "rows.jsonl", iter(rows))
    lines = (tmp_path / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == rows
    assert "Grüße" in lines[0]
    write_json(tmp_path / "value.json", rows)
    assert json.loads((tmp_path / "value.json").read_text(encoding="utf-8")) == rows


def test_what_a_hard_link_shares_keeps_its_content(tmp_path: Path) -> None:
    cached, linked = tmp_path / "cached", tmp_path / "linked"
    cached.write_text("old", encoding="utf-8")
    os.link(cached, linked)
    write_text(linked, "new")
    assert cached.read_text(encoding="utf-8") == "old"
    assert linked.read_text(encoding="utf-8") == "new"


def test_a_symbolic_link_is_replaced_by_a_file(tmp_path: Path) -> None:
    cached, linked = tmp_path / "cached", tmp_path / "linked"
    cached.write_text("old", encoding="utf-8")
    linked.symlink_to(cached)
    write_text(linked, "new")
    assert cached.read_text(encoding="utf-8") == "old"
    assert not linked.is_symlink()
    assert linked.read_text(encoding="utf-8") == "new"


def test_an_error_while_writing_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "old")
    with pytest.raises(OSError, match="full"), replacing(path) as unfinished:
        unfinished.write_text("half", encoding="utf-8")
        raise OSError("the disk is full")
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def _killed_while_writing(path: Path) -> None:
    with replacing(path) as unfinished:
        unfinished.write_text("half", encoding="utf-8")
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_killed_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "old")
    process = multiprocessing.get_context("fork").Process(
        target=_killed_while_writing, args=(path,)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert path.read_text(encoding="utf-8") == "old"
    write_text(path, "new")
    assert path.read_text(encoding="utf-8") == "new"


def test_two_writers_do_not_share_an_unfinished_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with replacing(path) as first, replacing(path) as second:
        assert first != second
        first.write_text("first", encoding="utf-8")
        second.write_text("second", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == "first"


def test_a_private_file_is_its_owners_alone(tmp_path: Path) -> None:
    write_text(tmp_path / "secret", "s", private=True)
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_the_unfinished_file_lies_where_it_is_wanted(tmp_path: Path) -> None:
    path, scratch = tmp_path / "data" / "rows.jsonl", tmp_path / "work"
    with replacing(path, scratch=scratch) as unfinished:
        assert unfinished.parent == scratch
        assert list(path.parent.iterdir()) == []
        unfinished.write_text("{}\n", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == "{}\n"
    assert list(scratch.iterdir()) == []
