"""Hard negatives: documents that look right to an encoder but are not judged relevant."""

import numpy as np
import numpy.typing as npt

from rabtriever_core.models.backbone import Backbone
from rabtriever_core.models.retriever import document_states, query_states
from rabtriever_core.training.examples import Examples


def mine_negatives(
    backbone: Backbone, examples: Examples, depth: int, *, block: int = 1024
) -> list[npt.NDArray[np.int64]]:
    """Nearest judged, non-relevant documents of every query by cosine of e_Q and e_D.

    A pure function of the backbone's weights, so that a resumed run mines the same.
    """
    documents = _unit(document_states(backbone, examples.documents, progress=True))
    queries = _unit(query_states(backbone, examples.queries, progress=True))
    unjudged = np.setdiff1d(np.arange(len(documents)), examples.judged)
    mined: list[npt.NDArray[np.int64]] = []
    for start in range(0, len(queries), block):
        scores = queries[start : start + block] @ documents.T
        scores[:, unjudged] = -np.inf
        for row, relevant in zip(scores, examples.relevant[start : start + block], strict=True):
            row[sorted(relevant)] = -np.inf
            kept = min(depth, len(examples.judged) - len(relevant))
            mined.append(np.argsort(-row, kind="stable")[:kept])
    return mined


def _unit(states: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    unit: npt.NDArray[np.float32] = states / np.linalg.norm(states, axis=1, keepdims=True)
    return unit
