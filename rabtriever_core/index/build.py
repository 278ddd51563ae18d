"""Build a collection from embeddings and check it: for a stage, and for a rollback."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rabtriever_core.config import IndexConfig
from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import IndexMismatchError
from rabtriever_core.index.checks.exactness import spread
from rabtriever_core.index.checks.model_agreement import DEPTH, Agreement, agreement_with_model
from rabtriever_core.index.checks.probes import check_probes, choose_probes
from rabtriever_core.index.checks.verification import verify_collection
from rabtriever_core.index.collection import build_collection
from rabtriever_core.index.lexical import Lexical, hashes
from rabtriever_core.index.stored_documents import StoredDocuments
from rabtriever_core.index.vectors import check_vectors

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

    from rabtriever_core.index.query_tower import QueryEncoder, QueryTower


@dataclass(frozen=True)
class Source:
    """What a collection is made from."""

    tower: "QueryTower"
    encoder: "QueryEncoder"
    """What encodes queries in service: the tower, or its graph."""
    documents: Sequence[Document]
    """All m of them."""
    embeddings: StoredDocuments
    """Of the same documents, in their order."""
    texts: list[str]
    """Queries that the collection is verified with."""
    lexical: Lexical | None = None
    """Of the same documents, where the collection has BM25."""

    def check(self) -> None:
        """Refuse embeddings of other documents, and unusable vectors.

        Raises:
            ArtifactError: the ids differ.
            VectorError: a vector is not finite or has another length.
        """
        self.embeddings.check_of(self.documents)
        for ids, vectors in self.embeddings.vector_shards(self.tower.student):
            check_vectors(vectors, self.tower.student.dimension, ids)


@dataclass(frozen=True)
class Built:
    """A verified collection."""

    collection: str
    agreement: Agreement
    probes: list[dict[str, Any]]
    """Probe queries and the documents that may come first for them."""


def build_hash(
    parts: Mapping[str, str], gauge: str, quantization: str, lexical: Lexical | None = None
) -> str:
    """Hash of everything a build is made from: artifacts by stage, gauge, quantization, BM25."""
    names = ("student", "document_embeddings", "validated_dataset")
    words = hashes(lexical).values()
    text = "\n".join([*(parts[name] for name in names), gauge, quantization, *words])
    return hashlib.sha256(text.encode()).hexdigest()


def build_and_verify(
    client: "QdrantClient",
    alias: str,
    hash_: str,
    source: Source,
    metadata: Mapping[str, str],
    index: IndexConfig,
    least_agreement: float,
) -> Built:
    """Upload, and check that the collection is whole and ranks as its model; no alias is moved.

    Args:
        client: Qdrant.
        alias: whose build it is.
        hash_: of everything it is made from.
        source: what it is made from.
        metadata: hashes of the artifacts behind it.
        index: how it is stored and searched.
        least_agreement: share of the top ten that index and model must agree on.

    Raises:
        ArtifactError: the embeddings are of other documents.
        VectorError: a vector is unusable; nothing was created.
        IndexMismatchError: the collection is not whole or does not rank as the model does.
    """
    source.check()
    tower, stored = source.tower, source.embeddings.stored(source.tower)
    lexical = source.lexical
    words = None if lexical is None else lexical.documents(source.documents)
    physical = build_collection(
        client,
        alias,
        hash_,
        source.documents,
        stored,
        metadata,
        index.batch_size,
        index.quantization,
        words,
    )
    verify_collection(
        client,
        physical,
        source.embeddings.ids,
        tower.dimension,
        quantized=bool(index.url) and index.quantization != "none",
        words=words is not None,
    )
    agreement = agreement_with_model(
        client,
        physical,
        tower,
        source.texts,
        source.documents,
        source.embeddings,
        index,
        None if lexical is None or words is None else (lexical, words),
    )
    if agreement.top10 < least_agreement:
        raise IndexMismatchError(
            f"collection {physical} and the model agree on {agreement.top10:.4f} of the top "
            f"{DEPTH}, below gates.top10_agreement = {least_agreement}; it is not served. Delete "
            "it, then `rabtriever run document_embeddings --force`"
        )
    texts = spread(source.texts, index.probe_queries)
    probes = choose_probes(source.encoder, texts, source.embeddings.ids, stored)
    check_probes(client, physical, source.encoder, probes)
    return Built(physical, agreement, probes)
