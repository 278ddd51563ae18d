"""Embedding shards as they are written: `vectors-00000.safetensors`, … and `ids.json`.

`rabtriever_core.index.stored_documents` reads them.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from rabtriever_core.data.dataset import Document
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
