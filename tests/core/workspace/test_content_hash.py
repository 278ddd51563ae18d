"""Hashes follow what files hold, which is read again only where it may have changed."""

import hashlib
import os
import time
from pathlib import Path
from typing import Any

import pytest

from rabtriever_core.workspace.content_hash import ContentHashes


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Files that were read."""
    found: list[str] = []
    digest = hashlib.file_digest

    def counted(file: Any, algorithm: Any) -> Any:
        found.append(Path(file.name).name)
        return digest(file, algorithm)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    return found


def old(path: Path, content: bytes, seconds: float = 60) -> Path:
    path.write_bytes(content)
    then = time.time_ns() - int(seconds * 1e9)
    os.utime(path, ns=(then, then))
    return path


def test_what_did_not_change_is_not_read_again(tmp_path: Path, reads: list[str]) -> None:
    files = {name: old(tmp_path / name, name.encode()) for name in ("a", "b")}
    first = ContentHashes(tmp_path / ".work").of(files)
    assert ContentHashes(tmp_path / ".work").of(files) == first
    assert reads == ["a", "b"]
    old(tmp_path / "b", b"c", seconds=50)
    assert ContentHashes(tmp_path / ".work").of(files) != first
    assert reads == ["a", "b", "b"]


def test_names_count_and_places_do_not(tmp_path: Path) -> None:
    hashes = ContentHashes(tmp_path / ".work")
    (tmp_path / "other").mkdir()
    one, same = old(tmp_path / "a", b"x"), old(tmp_path / "other" / "a", b"x")
    assert hashes.of({"a": one}) == hashes.of({"a": same}) != hashes.of({"b": one})


def test_a_file_written_just_now_is_not_trusted_by_its_time(tmp_path: Path) -> None:
    hashes, path = ContentHashes(tmp_path / ".work"), tmp_path / "a"
    path.write_bytes(b"one")
    moment = path.stat().st_mtime_ns
    first = hashes.of({"a": path})
    path.write_bytes(b"two")
    os.utime(path, ns=(moment, moment))
    assert hashes.of({"a": path}) != first


def test_a_damaged_or_unwritable_memory_costs_time_alone(tmp_path: Path) -> None:
    files = {"a": old(tmp_path / "a", b"x")}
    expected = ContentHashes(tmp_path / ".work").of(files)
    (tmp_path / ".work" / "content_hashes.json").write_text("{")
    assert ContentHashes(tmp_path / ".work").of(files) == expected
    assert ContentHashes(tmp_path / "a").of(files) == expected  # no folder to write to
