"""Checks of vectors before anything is stored, and the ids of their points."""

import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np

from rabtriever_core.errors import VectorError

# Fixed for ever: another namespace would give every document a second point on a re-run.
_NAMESPACE = uuid.UUID("5f0a6c1e-6c57-5d0c-9d7b-7a3f1f6f2b11")


def point_id(document_id: str) -> str:
    """Qdrant's id of a document: uuid5, so that the same document is always the same point."""
    return str(uuid.uuid5(_NAMESPACE, document_id))


def check_vectors(vectors: np.ndarray, dimension: int, ids: Sequence[str]) -> None:
    """Refuse vectors that an engine would store but never rank rightly.

    Args:
        vectors: float32 [m, dimension].
        dimension: what the query tower produces.
        ids: the m document ids, in order.

    Raises:
        VectorError: names the first document concerned and its problem.
    """
    _check_shape(vectors, dimension, ids)
    # One pass without a copy: a sum is finite only if all parts are, save for overflow.
    with np.errstate(over="ignore", invalid="ignore"):
        suspects = np.flatnonzero(~np.isfinite(vectors.sum(axis=1)))
    for row in map(int, suspects):
        for problem, found in (("NaN", np.isnan(vectors[row])), ("Inf", np.isinf(vectors[row]))):
            if found.any():
                raise VectorError(
                    f"the vector of document {ids[row]!r} holds {problem} at position "
                    f"{int(np.argmax(found))}: look at the document's text, then "
                    "`rabtriever run document_embeddings --force`"
                )


def check_queries(vectors: np.ndarray, dimension: int | None = None) -> None:
    """Refuse query vectors [n, d] that are not finite or have another dimension.

    Raises:
        VectorError: names the row and its problem.
    """
    if vectors.ndim != 2:
        raise VectorError(f"query vectors must be [n, d], got shape {vectors.shape}")
    if dimension is not None and vectors.shape[1] != dimension:
        raise VectorError(f"query vectors have {vectors.shape[1]} dimensions, not {dimension}")
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if bad.size:
        raise VectorError(f"the vector of query number {bad[0]} holds NaN or Inf")


def _check_shape(vectors: Any, dimension: int, ids: Sequence[str]) -> None:
    first = repr(ids[0]) if ids else "none"
    if not isinstance(vectors, np.ndarray) or vectors.dtype != np.float32:
        kind = getattr(vectors, "dtype", type(vectors).__name__)
        raise VectorError(
            f"vectors must be float32, got {kind} (first document {first}): convert them"
        )
    if vectors.ndim != 2:
        raise VectorError(
            f"vectors must be [documents, dimension], got shape {vectors.shape} "
            f"(first document {first})"
        )
    if len(vectors) != len(ids):
        extra = f"; document {ids[len(vectors)]!r} has none" if len(ids) > len(vectors) else ""
        raise VectorError(f"{len(vectors)} vectors for {len(ids)} documents{extra}")
    if vectors.shape[1] != dimension:
        raise VectorError(
            f"the vector of document {first} has {vectors.shape[1]} dimensions, not {dimension}"
        )
    seen: set[str] = set()
    for id_ in ids:
        if id_ in seen:
            raise VectorError(f"document {id_!r} occurs twice: ids must be unique")
        seen.add(id_)
