"""DVC keeps the ledger: what every artifact was made from, and its bytes.

Dagster (or a shell) executes, DVC records. Everything goes through DVC's command line, the
interface it keeps stable; nothing here pushes anywhere or touches git history.
"""

import contextlib
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rabtriever_core.config.secrets import stripped_environment, without_secrets
from rabtriever_core.config.yaml_text import parsed_yaml
from rabtriever_core.dvc.pipeline import sync_pipeline
from rabtriever_core.errors import ConfigError, StageBusyError, VersioningError
from rabtriever_core.extras import missing_extra
from rabtriever_core.stages.registry import stage_named
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import folder_hash
from rabtriever_core.workspace.atomic import copy_file, write_text
from rabtriever_core.workspace.disk import says_when_full
from rabtriever_core.workspace.locks import file_lock

logger = logging.getLogger(__name__)

DATA = "data"
DATA_FILE = "data.dvc"
LOCK_FILE = "dvc.lock"
REMOTE_FOLDER = "dvc_remote"
"""Of the default remote `workspace`; `dvc remote add -d` chooses another."""

# Hashing a large artifact takes minutes.
_PATIENCE_SECONDS = 600.0


def run_dvc(root: Path, *arguments: str) -> str:
    """Run DVC in a workspace, waiting for its lock; returns what it printed.

    Raises:
        VersioningError: DVC failed; holds its message.
        ConfigError: it is not installed.
    """
    finished = subprocess.run(  # noqa: S603 - our own interpreter, fixed commands
        [sys.executable, "-m", "dvc", "--wait-for-lock", *arguments],
        cwd=root,
        env=os.environ | stripped_environment() | {"DVC_NO_ANALYTICS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode:
        if find_spec("dvc") is None:
            raise missing_extra("pipeline", ModuleNotFoundError("No module named 'dvc'"))
        message = " ".join((finished.stderr.strip() or finished.stdout.strip()).split())
        command = f"`dvc {' '.join(arguments)}`"
        raise VersioningError(without_secrets(f"{command} failed in {root}: {message}"))
    return finished.stdout


def init_dvc(root: Path) -> None:
    """Make a folder a DVC project of its own: with git where it is a repository's root.

    A new one has a folder as its remote; a project that is there keeps the remotes it has, and
    learns of git where that came later.

    Raises:
        VersioningError: DVC failed.
    """
    with_git = (root / ".git").exists()
    if not (root / ".dvc").is_dir():
        try:
            # A folder inside another repository gets a ledger of its own: the outer one stays.
            run_dvc(root, "init", *([] if with_git else ["--no-scm"]))
            run_dvc(root, "config", "core.analytics", "false")
            run_dvc(root, "config", "core.autostage", "false")
            run_dvc(root, "remote", "add", "--default", "workspace", REMOTE_FOLDER)
        except BaseException:
            # Half of it would be taken for a project that is there.
            shutil.rmtree(root / ".dvc", ignore_errors=True)
            raise
    elif not with_git and not _without_git(root):
        # A copy of the sources without its .git (an archive, an image): DVC refuses otherwise.
        run_dvc(root, "config", "--local", "core.no_scm", "true")
    elif with_git and _without_git(root) and not _git_ignores(root, LOCK_FILE):
        # `git init` came after `rabtriever init`, or the copy has its .git again.
        for level in ("--project", "--local"):
            if _without_git(root, level):
                run_dvc(root, "config", level, "--unset", "core.no_scm")
        if not (root / ".dvc" / ".gitignore").exists():
            # As `dvc init` writes it where git was there first: the cache is not for git.
            write_text(root / ".dvc" / ".gitignore", "/config.local\n/tmp\n/cache\n")


def record_stage(workspace: Workspace, stage: str) -> str:
    """Record a stage's inputs and output as they are now; returns the md5 of the output.

    Raises:
        VersioningError: DVC failed, or knows no such stage.
        DiskFullError: there was no room for it.
    """
    with (
        says_when_full(workspace.root, f"recording {stage}"),
        _one_at_a_time(workspace),
        _ledger_kept(workspace),
    ):
        sync_pipeline(workspace.root)
        run_dvc(workspace.root, "commit", "--force", stage)
        md5 = recorded_md5(workspace, stage)
    if md5 is None:
        raise VersioningError(
            f"{workspace.root / LOCK_FILE} holds no md5 of {stage} after `dvc commit`: is "
            f"{stage_named(stage).out} an `outs` of it in dvc.yaml? (`rabtriever init` rewrites it)"
        )
    return md5


def recorded_md5(workspace: Workspace, stage: str) -> str | None:
    """The md5 that dvc.lock holds for a stage's output; None when it was never recorded.

    Raises:
        VersioningError: dvc.lock is damaged.
    """
    entries = _read(workspace.root / LOCK_FILE).get("stages", {}).get(stage, {}).get("outs", [])
    found = [entry["md5"] for entry in entries if entry["path"] == stage_named(stage).out]
    return found[0] if found else None


def data_md5(root: Path) -> str | None:
    """The md5 that data.dvc holds for the raw data; None when there is no data.dvc.

    Raises:
        VersioningError: data.dvc is damaged.
    """
    entries = _read(root / DATA_FILE).get("outs", [])
    return entries[0]["md5"] if entries else None


def add_data(workspace: Workspace) -> str:
    """Record the raw data in data.dvc and keep its bytes in DVC's cache; returns its md5.

    Data that `dataset.folder` places elsewhere stays with its owner: only its hash is taken.

    Raises:
        VersioningError: there is no data, or DVC failed.
    """
    root = workspace.root
    if not workspace.dataset_folder.resolve().is_relative_to(root / DATA):
        return folder_hash(workspace.dataset_folder)
    if not (root / DATA).is_dir():
        raise VersioningError(f"no data in {root / DATA}: run `rabtriever init` first")
    content = folder_hash(root / DATA)
    # data.dvc comes with a clone, the cache does not.
    if data_md5(root) != content or not in_cache(root, content):
        with _one_at_a_time(workspace):
            run_dvc(root, "add", DATA)
    return content


def in_cache(root: Path, hash_: str) -> bool:
    """Whether DVC's cache in a workspace has a file, or the list of a folder's files."""
    return (root / ".dvc" / "cache" / "files" / "md5" / hash_[:2] / hash_[2:]).is_file()


def restore_data(workspace: Workspace) -> None:
    """Make the raw data those that data.dvc records, from DVC's cache or remote.

    Files that DVC has not recorded anywhere are never overwritten.

    Raises:
        VersioningError: the bytes are in neither, or unrecorded files are in the way.
    """
    with _one_at_a_time(workspace):
        try:
            run_dvc(workspace.root, "checkout", DATA_FILE)
        except VersioningError:
            # Not in the cache of this machine.
            run_dvc(workspace.root, "pull", DATA_FILE)


@contextlib.contextmanager
def _ledger_kept(workspace: Workspace) -> Iterator[None]:
    """Bring dvc.lock back where it was left torn.

    DVC rewrites it in place: killed, or without room on the disk, it leaves a part of it, and then
    refuses every command.
    """
    ledger, before = workspace.root / LOCK_FILE, workspace.work / f"{LOCK_FILE}.before"

    def restore() -> None:
        if before.is_file():
            before.replace(ledger)
        else:
            ledger.unlink(missing_ok=True)

    if before.is_file() and _torn(ledger, before):
        logger.warning("%s was left torn by a run that was stopped: brought back", ledger)
        restore()
    elif ledger.is_file() and not ledger.stat().st_size:
        ledger.unlink()
    if ledger.is_file():
        copy_file(ledger, before)
    else:
        before.unlink(missing_ok=True)
    try:
        yield
    except VersioningError:
        if _torn(ledger, before):
            restore()
        raise
    finally:
        before.unlink(missing_ok=True)


def _torn(ledger: Path, before: Path) -> bool:
    """Whether dvc.lock lacks what it held before: its entries are replaced, never removed."""
    try:
        recorded = _outs(ledger)
    except (VersioningError, AttributeError, KeyError, TypeError):
        return True
    known = _outs(before)
    return not recorded or not known.keys() <= recorded.keys() or not all(recorded.values())


def _outs(ledger: Path) -> dict[str, bool]:
    """Stage → whether its output's md5, which is the end of its entry, is there."""
    stages = _read(ledger).get("stages", {})
    return {
        name: all({"path", "md5", "size"} <= out.keys() for out in entry["outs"])
        for name, entry in stages.items()
    }


@contextlib.contextmanager
def _one_at_a_time(workspace: Workspace) -> Iterator[None]:
    """DVC rewrites dvc.lock in place: one step must not read it while another writes."""
    import filelock

    lock = workspace.work / "dvc-record.lock"
    try:
        with file_lock(lock, timeout=_PATIENCE_SECONDS):
            yield
    except filelock.Timeout:
        raise StageBusyError(
            f"another process has been recording in {workspace.root} for "
            f"{_PATIENCE_SECONDS:.0f} s (it holds {lock}): stop it, or run again when it is done"
        ) from None


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        values = parsed_yaml(path.read_bytes(), str(path))
    except ConfigError as error:
        raise VersioningError(
            f"{error}: restore it from git, or delete it and record again (`dvc commit`)"
        ) from None
    return values if isinstance(values, dict) else {}


def _git_ignores(root: Path, name: str) -> bool:
    """Whether git ignores a file, which DVC would refuse to use; also where there is no git."""
    git = shutil.which("git")
    if git is None:
        return True
    asked = subprocess.run(  # noqa: S603 - git itself, fixed commands
        [git, "check-ignore", "--quiet", name], cwd=root, capture_output=True, check=False
    )
    return asked.returncode != 1


def _without_git(root: Path, level: str | None = None) -> bool:
    """Whether DVC's settings, or those of one level, say that there is no git."""
    import configparser

    files = {"--project": "config", "--local": "config.local"}
    names = files.values() if level is None else [files[level]]
    config = configparser.ConfigParser(interpolation=None)
    config.read([root / ".dvc" / name for name in names], encoding="utf-8")
    return config.getboolean("core", "no_scm", fallback=False)
