"""Hard negatives: documents that look right to an encoder but are not judged relevant."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rabtriever_core.models.backbone import Backbone
from rabtriever_core.models.retriever import document_states, query_states, unit_rows
from rabtriever_core.training.examples import Examples

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Similarity:
    """Cosine similarity of queries and documents as the backbone sees them before training.

    A pure function of the backbone's weights, so that a resumed run sees the same.
    """

    queries: Floats
    """Unit e_Q [n, d]."""
    documents: Floats
    """Unit e_D [m, d]."""

    @classmethod
    def of(cls, backbone: Backbone, examples: Examples) -> "Similarity":
        """Encode the training queries and the corpus."""
        return cls(
            unit_rows(query_states(backbone, examples.queries, progress=True)),
            unit_rows(document_states(backbone, examples.documents, progress=True)),
        )

    def hard_negatives(
        self, examples: Examples, pool: npt.NDArray[np.int64], depth: int, *, block: int = 1024
    ) -> list[npt.NDArray[np.int64]]:
        """Nearest non-relevant documents of the pool for every query, nearest first."""
        outside = np.setdiff1d(np.arange(len(self.documents)), pool)
        mined: list[npt.NDArray[np.int64]] = []
        for start in range(0, len(self.queries), block):
            scores = self.queries[start : start + block] @ self.documents.T
            scores[:, outside] = -np.inf
            for row, relevant in zip(scores, examples.relevant[start : start + block], strict=True):
                row[sorted(relevant)] = -np.inf
                kept = min(depth, int(np.isfinite(row).sum()))
                mined.append(np.argsort(-row, kind="stable")[:kept])
        return mined
