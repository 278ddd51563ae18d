"""Export of the query tower to ONNX: refused where it does not rank as torch (extra `onnx`)."""

import shutil
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rabtriever_core.config import RuntimeConfig
from rabtriever_core.data.dataset import read_dataset
from rabtriever_core.errors import ModelError
from rabtriever_core.index.onnx.reader import (
    FOLDER,
    TOWER_FILE,
    GraphInfo,
    Precision,
    read_info,
)
from rabtriever_core.index.onnx.write import write_tower
from rabtriever_core.index.query_tower import QueryTower
from rabtriever_core.index.stored_documents import StoredDocuments
from rabtriever_core.integrations.export_folder import export_folder
from rabtriever_core.integrations.onnx import TowerInfo
from rabtriever_core.integrations.served import as_workspace
from rabtriever_core.models.precision import exact_runtime
from rabtriever_core.models.probability import Calibration
from rabtriever_core.releases.record import Release
from rabtriever_core.releases.served import served_now
from rabtriever_core.releases.serving import SERVING_PARTS, release_index, release_runtime
from rabtriever_core.releases.store import check
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import folder_md5s
from rabtriever_core.workspace.atomic import write_text


def export_query_tower(
    workspace: Workspace | Path | str | None,
    folder: Path | str,
    *,
    release: Release | None = None,
    precision: Precision = "float32",
) -> TowerInfo:
    """Write the query tower of a release as a folder that needs neither torch nor transformers.

    Args:
        workspace: whose release; see `Retriever.open`.
        folder: to write; an earlier export there is replaced.
        release: which one; the served one where it is not given.
        precision: of the weights.

    Returns:
        What `tower.json` says, parity included.

    Raises:
        ConfigError: the folder holds something else.
        ModelError: the graph ranks in another way than torch (see `write_tower`).
        ReleaseError: the release is not here, or not complete.
    """
    opened = as_workspace(workspace)
    release = release or served_now(opened)
    parts = check(opened, release, (*SERVING_PARTS, "document_embeddings", "validated_dataset"))
    runtime = release_runtime(opened, release)

    def tower(runtime: RuntimeConfig) -> QueryTower:
        student, teacher, gauge = (
            parts[name] for name in ("student", "teacher", "qdrant_collection")
        )
        return QueryTower.load(student, teacher, gauge, release_index(opened, release), runtime)

    with export_folder(Path(folder), TOWER_FILE) as written:
        try:
            graph = _carried(parts["qdrant_collection"], precision, written) or write_tower(
                tower(runtime),
                lambda: tower(exact_runtime(runtime)),
                precision,
                list(read_dataset(parts["validated_dataset"]).queries.values()),
                StoredDocuments.open(parts["document_embeddings"]),
                written,
            )
        except ModelError as error:
            raise ModelError(f"release {release.id}: {error}") from error
        info = TowerInfo(
            **dict(graph),
            release=release.id,
            collection=release.collection,
            calibration=Calibration.load(parts["calibration"]),
            versions=_versions(),
            files={n: md5 for n, md5 in folder_md5s(written).items() if n != TOWER_FILE},
        )
        write_text(written / TOWER_FILE, info.model_dump_json(indent=2) + "\n")
    return info


def _carried(collection: Path, precision: Precision, folder: Path) -> GraphInfo | None:
    """A copy of the graph that the release carries, where that has the precision."""
    stored = collection / FOLDER
    info = read_info(stored, GraphInfo, "restore the release") if stored.is_dir() else None
    if info is None or info.precision != precision:
        return None
    shutil.copytree(stored, folder, dirs_exist_ok=True)
    return info


def _versions() -> dict[str, str]:
    """Of what wrote it; a graph that the release carries is copied without torch."""
    found = {}
    for name in ("rabtriever", "torch", "onnxruntime"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
