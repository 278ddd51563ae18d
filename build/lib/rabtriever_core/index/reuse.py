"""Embeddings of an earlier run, by the text they were made from: only what is new is read."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import ArtifactError
from rabtriever_core.index.checks.exactness import spread
from rabtriever_core.index.stored_documents import StoredDocuments
from rabtriever_core.models.arrays import Floats
from rabtriever_core.workspace.atomic import write_json

Encode = Callable[[list[Document]], Floats]

TEXTS = "texts.json"
_SAMPLE = 8
"""Documents read again before anything is reused."""


def text_hash(document: Document) -> str:
    """Hash of what a model reads of a document: 32 hexadecimal digits."""
    return hashlib.sha256(document.full_text.encode()).hexdigest()[:32]


def write_texts(folder: Path, maker: str, documents: Iterable[Document]) -> None:
    """Write beside the shards whose states they are, and of which texts."""
    content = {"maker": maker, "texts": [text_hash(document) for document in documents]}
    write_json(folder / TEXTS, content, indent=None)


@dataclass(frozen=True)
class Earlier:
    """States of an earlier run."""

    documents: StoredDocuments
    rows: dict[str, int]
    """Hash of a text → its row."""

    @classmethod
    def read(cls, folder: Path, maker: str) -> "Earlier | None":
        """What is in a folder, where the same maker made it; None otherwise.

        Raises:
            ArtifactError: the shards are damaged.
        """
        path = folder / TEXTS
        if not path.is_file():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            made_by, texts = content["maker"], content["texts"]
        except (ValueError, TypeError, KeyError) as error:
            raise ArtifactError(f"{path} is damaged ({error!r:.100})") from None
        if made_by != maker:
            return None
        return cls(StoredDocuments.open(folder), {text: row for row, text in enumerate(texts)})


@dataclass
class Reader:
    """Gives the states of documents: an earlier run's where the text is the same, else new ones."""

    encode: Encode
    earlier: Earlier | None
    embedded: int = 0
    """Documents that were read."""
    refused: str = ""
    """Why the earlier states are not used although there are some."""

    def check(self, documents: Sequence[Document]) -> None:
        """Drop the earlier states where this machine would not make the same bits again.

        Nothing is read where all texts are known: nothing new then stands beside the old.
        """
        if self.earlier is None:
            return
        known = [d for d in documents if text_hash(d) in self.earlier.rows]
        if not known or len(known) == len(documents):
            return
        sample = spread(known, _SAMPLE)
        rows = [self.earlier.rows[text_hash(document)] for document in sample]
        again, before = self.encode(sample), self.earlier.documents.states(rows)
        if not np.array_equal(again, before):
            self.refused = (
                f"states of {len(sample)} unchanged documents came out different by "
                f"{float(np.abs(again - before).max()):.2g} at most: another machine, or another "
                "number of threads, made them"
            )
            self.earlier = None

    def __call__(self, documents: list[Document]) -> Floats:
        """float32 [n, d]."""
        known = self.earlier.rows if self.earlier else {}
        hashes = [text_hash(document) for document in documents]
        old = [n for n, text in enumerate(hashes) if text in known]
        new = [n for n, text in enumerate(hashes) if text not in known]
        self.embedded += len(new)
        if self.earlier is None or not old:
            return self.encode(documents)
        found = self.earlier.documents.states([known[hashes[n]] for n in old])
        states = np.empty((len(documents), found.shape[1]), dtype=np.float32)
        states[old] = found
        if new:
            states[new] = self.encode([documents[n] for n in new])
        return states
