"""A compact profile of a validated version: what the next version is compared with.

Rows are kept as pairs of 64-bit hashes (id, content), so that a version can be compared with one
whose bytes are no longer here; nothing of its texts can be read from it.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rabtriever_core.data.comparison import normalised
from rabtriever_core.data.dataset import Dataset, Document, read_dataset
from rabtriever_core.data.metadata import canonical
from rabtriever_core.data.words import words
from rabtriever_core.errors import ArtifactError

FILE = "profile.safetensors"
TABLES = ("documents", "queries", "judgements")
_FORM = 2
"""Of what is hashed: raised when words, or texts as they are compared, are taken otherwise."""
_LENGTHS = 1001
"""Quantiles kept of text lengths; all lengths of smaller sets."""
_VOCABULARY = 100_000
"""Most frequent words kept."""

Hashes = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Profile:
    """What can be compared of two versions of a data set."""

    arrays: Mapping[str, npt.NDArray[Any]]
    """`<table> ids` and `<table> rows` (hashes, sorted by id) of documents, queries, judgements;
    `<table> lengths` in characters, `<table> words` (hashes, sorted) and `<table> counts` of
    documents and queries; `labels <split>` [k, 2]; `asked <split>` (hashes of ids and texts of its
    queries); `training` (hashes of query text, document text, label); `answers` and
    `answers counts` (right documents of training, sorted)."""

    @classmethod
    def of(cls, dataset: Dataset, train: str) -> "Profile":
        """Take the profile of a clean data set."""
        documents = {d.id: d.full_text for d in dataset.documents}
        judged = [
            (split, query, document, label)
            for split, qrels in dataset.qrels.items()
            for query, labels in qrels.items()
            for document, label in labels.items()
        ]
        rows = {
            "documents": {d.id: _content(d) for d in dataset.documents},
            "queries": dataset.queries,
            "judgements": {"\0".join(row[:3]): str(row[3]) for row in judged},
        }
        arrays: dict[str, npt.NDArray[Any]] = {"form": np.array([_FORM], np.int64)}
        for name, table in rows.items():
            ids, contents = _hashes(table), _hashes(table.values())
            order = np.argsort(ids)
            arrays |= {f"{name} ids": ids[order], f"{name} rows": contents[order]}
        for name, texts in (("documents", documents), ("queries", dataset.queries)):
            arrays[f"{name} lengths"] = _lengths(texts.values())
            arrays |= _counted(name, "words", (w for t in texts.values() for w in words(t)))
        for split, qrels in dataset.qrels.items():
            labels = Counter(row[3] for row in judged if row[0] == split)
            arrays[f"labels {split}"] = np.array(sorted(labels.items()), np.int64).reshape(-1, 2)
            arrays[f"asked {split}"] = np.sort(
                _hashes([k for query in qrels for k in asked_keys(query, dataset.queries[query])])
            )
        taught = [row for row in judged if row[0] == train]
        arrays["training"] = np.unique(
            _hashes(f"{dataset.queries[q]}\0{documents[d]}\0{label}" for _, q, d, label in taught)
        )
        arrays |= _counted("answers", "documents", (d for _, _, d, label in taught if label > 0))
        return cls(arrays)

    def save(self, folder: Path) -> None:
        """Write `profile.safetensors`."""
        from safetensors.numpy import save_file

        folder.mkdir(parents=True, exist_ok=True)
        save_file({k: np.ascontiguousarray(a) for k, a in self.arrays.items()}, folder / FILE)

    @classmethod
    def load(cls, folder: Path, train: str) -> "Profile":
        """Read what `save` wrote; of a data set that has none of today's form, take it.

        Raises:
            ArtifactError: the file is damaged.
            DatasetError: there is neither profile nor data set.
        """
        arrays = _stored(folder)
        return cls.of(read_dataset(folder), train) if arrays is None else cls(arrays)

    def splits(self) -> list[str]:
        """Names of its splits."""
        return sorted(k.removeprefix("labels ") for k in self.arrays if k.startswith("labels "))


def asked_keys(query: str, text: str) -> tuple[str, str]:
    """What a query is known by: its id, and its text as it is compared."""
    return f"id\0{query}", f"text\0{normalised(text)}"


def hashed(text: str) -> int:
    """64 bits of a text's hash."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def is_comparable(folder: Path) -> bool:
    """Whether a folder holds a profile of today's form.

    Raises:
        ArtifactError: the file is damaged.
    """
    return _stored(folder) is not None


def _stored(folder: Path) -> dict[str, npt.NDArray[Any]] | None:
    """The arrays of a profile of today's form; None where there is none.

    Hashes of two forms have nothing in common: everything would seem to have changed.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = folder / FILE
    if not path.is_file():
        return None
    try:
        arrays: dict[str, npt.NDArray[Any]] = load_file(path)
    except SafetensorError as error:
        raise ArtifactError(f"{path} is damaged ({error}): validate the data again") from None
    return arrays if arrays.get("form", np.ones(1))[0] == _FORM else None


def _content(document: Document) -> str:
    said = f"\0{canonical(document.metadata)}" if document.metadata else ""
    return f"{document.title}\0{document.text}{said}"


def _hashes(texts: Iterable[str]) -> Hashes:
    return np.fromiter((hashed(text) for text in texts), np.uint64)


def _lengths(texts: Iterable[str]) -> Numbers:
    lengths = np.sort(np.fromiter((len(text) for text in texts), np.int64))
    if len(lengths) <= _LENGTHS:
        return lengths
    at = np.linspace(0, len(lengths) - 1, _LENGTHS).round().astype(int)
    quantiles: Numbers = lengths[at]
    return quantiles


def _counted(name: str, what: str, items: Iterable[str]) -> dict[str, npt.NDArray[Any]]:
    pairs = sorted((hashed(i), n) for i, n in Counter(items).most_common(_VOCABULARY))
    return {
        f"{name} {what}": np.array([h for h, _ in pairs], np.uint64),
        f"{name} counts": np.array([n for _, n in pairs], np.int64),
    }
