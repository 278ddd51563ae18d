"""Document embeddings on disk: `vectors-00000.safetensors`, … and `ids.json`."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import ArtifactError
from rabtriever_core.index.vectors import check_vectors
from rabtriever_core.workspace.artifacts import array_md5
from rabtriever_core.workspace.atomic import replacing, write_json

IDS = "ids.json"
_PATTERN = "vectors-*.safetensors"


def write_shards(
    folder: Path,
    documents: Sequence[Document],
    encode: Callable[[list[Document]], np.ndarray],
    *,
    dimension: int,
    shard_documents: int,
) -> None:
    """Encode documents shard by shard; shards that a killed run finished are kept.

    Args:
        folder: where the shards lie.
        documents: the m documents, in order.
        encode: documents → float32 [n, dimension].
        dimension: of the vectors.
        shard_documents: documents per shard.

    Raises:
        VectorError: `encode` gave something that cannot be stored; names the document.
    """
    from safetensors.numpy import save_file
    from tqdm import tqdm

    folder.mkdir(parents=True, exist_ok=True)
    planned: set[str] = set()
    with tqdm(total=len(documents), desc="embedding", unit="doc", disable=None) as bar:
        for number, start in enumerate(range(0, len(documents), shard_documents)):
            part = list(documents[start : start + shard_documents])
            path = folder / f"vectors-{number:05d}.safetensors"
            planned.add(path.name)
            if not _is_complete(path, part, dimension):
                vectors = np.ascontiguousarray(encode(part))
                check_vectors(vectors, dimension, [d.id for d in part])
                # One metadata key only: safetensors does not fix the order of several.
                stated = {"documents": f"{_fingerprint(part)} {array_md5(vectors)}"}
                with replacing(path) as unfinished:
                    save_file({"vectors": vectors}, unfinished, metadata=stated)
            bar.update(len(part))
    for path in folder.glob(_PATTERN):
        if path.name not in planned:
            path.unlink()
    write_json(folder / IDS, [d.id for d in documents], indent=None)


def shard_files(folder: Path) -> list[Path]:
    """The files of the embedding artifact in a folder, ids first."""
    return [folder / IDS, *sorted(folder.glob(_PATTERN))]


def read_shards(folder: Path) -> tuple[list[str], np.ndarray]:
    """Read all shards: m document ids and float32 [m, d].

    Raises:
        ArtifactError: a file is missing or damaged, or the counts differ.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    remedy = "materialize `document_embeddings` again"
    try:
        ids = [str(id_) for id_ in json.loads((folder / IDS).read_text(encoding="utf-8"))]
    except FileNotFoundError:
        raise ArtifactError(f"no {folder / IDS}: {remedy}") from None
    except json.JSONDecodeError as error:
        raise ArtifactError(f"{folder / IDS} is damaged ({error}): {remedy}") from None
    shards = []
    for path in shard_files(folder)[1:]:
        try:
            shards.append(load_file(path)["vectors"])
        except (SafetensorError, KeyError) as error:
            raise ArtifactError(f"{path} is damaged ({error}): {remedy}") from None
    count = sum(len(shard) for shard in shards)
    if not shards or count != len(ids):
        raise ArtifactError(f"{folder} holds {count} vectors for {len(ids)} ids: {remedy}")
    return ids, np.concatenate(shards)


def _is_complete(path: Path, documents: list[Document], dimension: int) -> bool:
    """Whether a shard holds the vectors of exactly these documents, as they were written."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return False
    try:
        with safe_open(path, framework="numpy") as file:
            vectors = file.get_tensor("vectors")
            metadata = file.metadata() or {}
    except (SafetensorError, ValueError):
        return False  # cut short, damaged or foreign: it is written anew
    stated = f"{_fingerprint(documents)} {array_md5(vectors)}"
    return vectors.shape == (len(documents), dimension) and metadata.get("documents") == stated


def _fingerprint(documents: list[Document]) -> str:
    rows = [[d.id, d.title, d.text] for d in documents]
    return hashlib.sha256(json.dumps(rows, ensure_ascii=False).encode()).hexdigest()
