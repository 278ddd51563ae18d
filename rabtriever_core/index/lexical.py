"""BM25 in a collection: what its query side takes, and how points hold the document side."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import ArtifactError, IndexMismatchError
from rabtriever_core.models.bm25 import Bm25
from rabtriever_core.models.bm25_vectors import Counts, Row, TermVectors, Vocabulary
from rabtriever_core.workspace.atomic import write_json

if TYPE_CHECKING:
    from qdrant_client.models import VectorStruct

VECTOR = "bm25"
"""Name of the sparse vector; the student's has none."""
FILE = "bm25.json"
_REMEDY = "`rabtriever run qdrant_collection --force` makes it anew"


@dataclass(frozen=True)
class Lexical:
    """The query side of a collection that ranks by margin + weight · BM25."""

    vocabulary: Vocabulary
    weight: float
    """Above 0."""
    fingerprint: str
    """Of the collection's term statistics; its metadata has the same."""

    @classmethod
    def of(cls, vectors: TermVectors, weight: float) -> "Lexical":
        """The query side of documents' vectors."""
        return cls(vectors.vocabulary, weight, vectors.fingerprint)

    @classmethod
    def load(cls, folder: Path) -> "Lexical | None":
        """Read what `save` wrote; None where a collection has no BM25.

        Raises:
            ArtifactError: the file is damaged.
        """
        path = folder / FILE
        if not path.is_file():
            return None
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            vocabulary = Vocabulary(stored["language"], stored["terms"])
            return cls(vocabulary, float(stored["weight"]), stored["fingerprint"])
        except (ValueError, KeyError, TypeError) as error:
            raise ArtifactError(f"{path} is damaged ({error!r:.200}): {_REMEDY}") from None

    def save(self, folder: Path) -> None:
        """Write `bm25.json`."""
        values = {
            "weight": self.weight,
            "language": self.vocabulary.language,
            "fingerprint": self.fingerprint,
            "terms": list(self.vocabulary.terms),
        }
        write_json(folder / FILE, values, indent=None)

    def documents(self, documents: Sequence[Document]) -> TermVectors:
        """The vectors of the collection's documents, all of them.

        Raises:
            IndexMismatchError: these are others than it was built from.
        """
        vectors = TermVectors.of(Bm25.fit(documents, self.vocabulary.language))
        if vectors.fingerprint != self.fingerprint:
            raise IndexMismatchError(
                f"the words of these {len(documents)} documents ({vectors.fingerprint}) are not "
                f"those that the collection's {FILE} was made from ({self.fingerprint}): {_REMEDY}"
            )
        return vectors


def hashes(lexical: Lexical | None) -> dict[str, str]:
    """What a collection's metadata says of its BM25; nothing where it has none."""
    return {} if lexical is None else {VECTOR: lexical.fingerprint}


def point_vector(vector: np.ndarray, terms: Row | None) -> "VectorStruct":
    """What a point holds: the student's vector, and its terms where a collection has BM25."""
    from qdrant_client import models

    dense: list[float] = vector.tolist()
    if terms is None:
        return dense
    numbers, weights = terms
    # A document without words has no sparse vector: an empty one would say the same.
    sparse = models.SparseVector(indices=numbers.tolist(), values=weights.tolist())
    return {"": dense, VECTOR: sparse} if len(numbers) else {"": dense}


def parts(vector: Any) -> tuple[list[float] | None, dict[int, float]]:
    """A stored point's vector and terms, in either form of `point_vector`."""
    if not isinstance(vector, dict):
        return vector, {}
    sparse = vector.get(VECTOR)
    terms = {} if sparse is None else dict(zip(sparse.indices, sparse.values, strict=True))
    return vector.get(""), terms


def score(query: Counts, terms: dict[int, float]) -> float:
    """BM25 of a document for a query."""
    return sum(count * terms.get(number, 0.0) for number, count in query.items())
