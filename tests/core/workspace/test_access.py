"""Another user, no name, no home, nothing that may be written: one line that says what to do."""

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rabtriever_core.workspace import access
from rabtriever_core.workspace.access import become_somebody, refusal, user
from rabtriever_core.workspace.atomic import write_text
from rabtriever_core.workspace.locks import file_lock

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
NOBODY = 54321


def as_nobody(work: Callable[[], object]) -> str:
    """What a child process, which becomes a user that the system does not know, says of it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "HOME"):
                os.environ.pop(name, None)
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            said = str(work())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode(errors="replace"))
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading, encoding="utf-8") as file:
        return file.read()


@needs_root
def test_a_user_without_a_name_has_a_number() -> None:
    assert as_nobody(user) == f"user {NOBODY}"

    def somebody() -> str:
        become_somebody()
        become_somebody()
        home = Path.home()
        private = stat.S_IMODE(home.stat().st_mode) == 0o700 and home.stat().st_uid == NOBODY
        return f"{os.environ['LOGNAME']} {private}"

    assert as_nobody(somebody) == f"user {NOBODY} True"


def test_whoever_has_a_home_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LOGNAME", "ana")
    become_somebody()
    assert (Path.home(), user()) == (tmp_path, "ana")


def test_a_home_that_somebody_else_made_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access.tempfile, "tempdir", str(tmp_path))
    (tmp_path / f"rabtriever-{os.getuid()}").symlink_to("/etc")
    assert Path(access._home()).parent == tmp_path
    assert Path(access._home()).resolve() != Path("/etc")


@needs_root
def test_what_may_not_be_written_is_named_with_its_owner(tmp_path: Path) -> None:
    target = tmp_path / "work" / "params.yaml"
    write_text(target, "{}")
    for folder in (tmp_path, *tmp_path.parents[:-1]):
        folder.chmod(folder.stat().st_mode | 0o055)

    def refused() -> str | None:
        try:
            write_text(target, "new")
        except OSError as error:
            return refusal(error)
        return "written"

    said = as_nobody(refused)
    assert str(target) in said
    assert f"user {NOBODY}" in said
    assert "is owned by root" in said
    assert ".tmp" not in said
    assert target.read_text() == "{}"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "give this user access"),
        (errno.EROFS, "read-only file system"),
        (errno.ENOTDIR, "name another file or folder"),
        (errno.ENAMETOOLONG, "name another file or folder"),
    ],
)
def test_errors_of_place_and_permission(number: int, words: str) -> None:
    said = refusal(OSError(number, os.strerror(number), "/nowhere/at all"))
    assert said is not None
    assert words in said
    assert "/nowhere/at all" in said
    assert "\n" not in said


def test_other_errors_are_nobodys_business() -> None:
    for error in (OSError(errno.EIO, "broken", "x"), ValueError("x"), FileNotFoundError(2, "x")):
        assert refusal(error) is None
    assert refusal(RuntimeError("attempt to write a readonly database")) is not None


def test_who_could_use_a_file_still_can(tmp_path: Path) -> None:
    shared, umask = tmp_path / "shared", os.umask(0o077)
    try:
        write_text(shared, "a")
        assert stat.S_IMODE(shared.stat().st_mode) == 0o600
        shared.chmod(0o664)
        write_text(shared, "b")
        assert stat.S_IMODE(shared.stat().st_mode) == 0o664
        write_text(shared, "c", private=True)
        assert stat.S_IMODE(shared.stat().st_mode) == 0o600
    finally:
        os.umask(umask)


@needs_root
def test_a_file_stays_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "api_keys.json"
    write_text(path, "a", private=True)
    os.chown(path, NOBODY, NOBODY)
    write_text(path, "b", private=True)
    found = path.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (NOBODY, NOBODY, 0o600)


def test_what_is_linked_with_the_cache_does_not_become_read_only(tmp_path: Path) -> None:
    cached, linked = tmp_path / "cached", tmp_path / "linked"
    write_text(cached, "old")
    cached.chmod(0o444)
    os.link(cached, linked)
    write_text(linked, "new")
    assert linked.stat().st_mode & stat.S_IWUSR
    assert stat.S_IMODE(cached.stat().st_mode) == 0o444


def test_a_lock_can_be_held_by_others_of_the_group(tmp_path: Path) -> None:
    umask = os.umask(0o077)
    try:
        with file_lock(tmp_path / "deep" / "x.lock", timeout=0):
            pass
        assert (tmp_path / "deep" / "x.lock").stat().st_mode & 0o660 == 0o660
    finally:
        os.umask(umask)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["init", "a file"], "a file: File exists"),
        (["init", "a file/below"], "Not a directory"),
        (["demo", "x" * 300], "File name too long"),
        (["run", "all", "-w", "not there"], "rabtriever init"),
    ],
)
def test_a_command_ends_with_one_line(arguments: list[str], words: str, tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-m", "rabtriever_core.cli", *arguments]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert words in done.stderr
