"""Set up a workspace: settings, data, and DVC's ledger; run again, it changes only what differs."""

import re
import tempfile
from pathlib import Path

from rabtriever_core.config import DatasetConfig
from rabtriever_core.config.params_file import params_yaml
from rabtriever_core.config.presets import Preset, preset_settings
from rabtriever_core.data.dataset import qrels_files
from rabtriever_core.data.feedback import FEEDBACK
from rabtriever_core.dvc.pipeline import sync_pipeline
from rabtriever_core.dvc.recording import DATA, DATA_FILE, add_data, data_md5, init_dvc
from rabtriever_core.errors import DatasetError, VersioningError
from rabtriever_core.workspace import PARAMS, Workspace
from rabtriever_core.workspace.artifacts import file_md5, folder_hash, folder_md5s, replace_folder
from rabtriever_core.workspace.atomic import copy_file, write_text
from rabtriever_core.workspace.edit_params import write_dataset_settings

_GIT_IGNORED = """\
# Kept by DVC, or made again by a run.
/data/
/artifacts/
/reports/
/measurements/
/validation.html
/data_changes/
/dvc_plots/
/qdrant/
/logs/
/.work/
/.dagster_home/
/dvc_remote/
/releases/store/*/
/.dvc/cache/
/.dvc/tmp/
/.dvc/config.local
"""

_DVC_IGNORED = """\
# Folders in which DVC need not look for stages.
/.venv
/.work
/.dagster_home
/data_changes
/dvc_plots
/logs
/qdrant
/dvc_remote
"""


def init_workspace(
    root: Path,
    data: Path | None = None,
    *,
    accept_data: bool = False,
    preset: Preset = "pretrained",
) -> Workspace:
    """Make `root` a workspace, or bring it up to date; edited settings stay.

    Args:
        root: the workspace; created when missing.
        data: a folder in BEIR layout that is copied into it; the demo set without one.
        accept_data: record the demo's bytes although data.dvc holds others.
        preset: settings that a new workspace starts with.

    Raises:
        DatasetError: `data` is not a folder in BEIR layout.
        ConfigError: the params.yaml that is there is invalid.
        VersioningError: the demo's bytes are not those of data.dvc, or DVC failed.
    """
    root = root.resolve()
    source = None if data is None else data.resolve()
    if source is not None:
        _check_layout(source)
    root.mkdir(parents=True, exist_ok=True)
    dataset = DatasetConfig() if source is None else _settings_for(source)
    params = root / PARAMS
    if not params.exists():
        settings = preset_settings(preset).model_copy(update={"dataset": dataset})
        write_text(params, params_yaml(settings))
    else:
        current = Workspace.open(root).settings.dataset
        if source is not None and (current.demo or current.folder != dataset.folder):
            chosen = dataset.model_dump(mode="json", include={"name", "folder", "demo"})
            write_dataset_settings(params, chosen)
    for name, text in ((".gitignore", _GIT_IGNORED), (".dvcignore", _DVC_IGNORED)):
        if not (root / name).exists():
            write_text(root / name, text)
    sync_pipeline(root)
    init_dvc(root)
    workspace = Workspace.open(root)
    if source is not None:
        _copy_dataset(source, workspace.root / dataset.folder)
    prepare_data(workspace, accept=accept_data)
    return workspace


def prepare_data(workspace: Workspace, *, accept: bool = False) -> str:
    """Write the demo set where it is wanted and missing, record the raw data; returns its md5.

    Args:
        workspace: whose data.
        accept: record the demo's bytes although data.dvc holds others.

    Raises:
        DatasetError: there is no data.
        VersioningError: the demo's bytes are not those of data.dvc, or DVC failed.
    """
    folder = workspace.dataset_folder
    demo = workspace.settings.dataset.demo
    if demo and not folder.exists():
        from rabtriever_core.data.demo import write_demo

        unfinished = workspace.work / "demo"
        write_demo(unfinished)
        replace_folder(unfinished, folder)
    qrels_files(folder)
    recorded = data_md5(workspace.root)
    changed = recorded not in (None, folder_hash(workspace.root / DATA))
    if demo and not accept and changed and not _only_additions_differ(folder):
        raise VersioningError(
            f"{workspace.root / DATA} does not hold the bytes that {DATA_FILE} records: `dvc "
            f"checkout {DATA_FILE}` restores them, deleting {folder} writes the demo anew, and "
            "`rabtriever init --accept-data` records what is there now"
        )
    return add_data(workspace)


def _only_additions_differ(folder: Path) -> bool:
    """Whether a folder is the bundled demo set with feedback, or with what macOS leaves behind."""
    from rabtriever_core.data.demo import write_demo

    here = folder_md5s(folder)
    added = {k for k in here if k == FEEDBACK or Path(k).name.startswith((".DS_Store", "._"))}
    if not added:
        return False
    with tempfile.TemporaryDirectory() as scratch:
        write_demo(Path(scratch) / "demo")
        written = folder_md5s(Path(scratch) / "demo")
    return {k: v for k, v in here.items() if k not in added} == written


def _check_layout(folder: Path) -> None:
    """Raises DatasetError where a file is missing; the rows are the validation's business."""
    qrels_files(folder)
    for name in ("corpus.jsonl", "queries.jsonl"):
        if not (folder / name).is_file():
            raise DatasetError(
                f"no {name} in {folder}: a BEIR folder holds corpus.jsonl, queries.jsonl, qrels/"
            )


def _settings_for(source: Path) -> DatasetConfig:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", source.name).strip("-._")
    if not name:
        raise DatasetError(
            f"{source} has no usable name: rename the folder to letters, digits, dots and dashes "
            "(it names the data set and the Qdrant collection)"
        )
    return DatasetConfig(name=name, folder=Path(DATA) / name, demo=False)


def _copy_dataset(source: Path, target: Path) -> None:
    """Make `target` hold the data set's files and no other judgements; equal files stay.

    What is there is replaced and never written into: DVC links files with its cache.
    """
    if source == target.resolve():
        return
    for folder in (target, target / "qrels"):
        if folder.is_symlink():
            folder.unlink()  # what it leads to is somebody else's
    files = [source / "corpus.jsonl", source / "queries.jsonl", *qrels_files(source)]
    if (source / FEEDBACK).is_file() and not (target / FEEDBACK).exists():
        files.append(source / FEEDBACK)  # else what was said here since would be lost
    names = [path.relative_to(source) for path in files]
    (target / "qrels").mkdir(parents=True, exist_ok=True)
    for name in names:
        copy = target / name
        if not copy.is_file() or file_md5(copy) != file_md5(source / name):
            copy_file(source / name, copy)
    for path in qrels_files(target):
        if path.relative_to(target) not in names:
            path.unlink()
