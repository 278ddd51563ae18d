"""Queries to show in the report: where the student wins, and where it loses."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rabtriever_core.data.dataset import Dataset, Document
from rabtriever_core.evaluation.metrics import Run, first_right_rank, ranking
from rabtriever_core.evaluation.schema import SYSTEMS

_SHOWN_DOCUMENTS = 3
_CHARACTERS = 280


def pick_examples(
    dataset: Dataset,
    split: str,
    queries: Sequence[str],
    runs: Mapping[str, Run],
    *,
    count: int = 4,
    seed: int = 17,
) -> list[dict[str, Any]]:
    """Draw won and lost queries at random, up to `count` of each.

    Won: the student's first document is right, BM25's and the bi-encoder's are not.
    Lost: the student's first document is wrong.

    Returns:
        Rows of split, query, outcome ("won" or "lost"), right (titles), and systems: name → its
        first documents as {title, text, right}.
    """
    documents = {document.id: document for document in dataset.documents}
    won, lost = [], []
    for query in sorted(queries):
        right = dataset.relevant(split, query)
        first = {
            name: first_right_rank(run.get(query, {}), right) == 1 for name, run in runs.items()
        }
        if not first["student"]:
            lost.append(query)
        elif not first["bm25"] and not first["bi_encoder"]:
            won.append(query)
    rng = np.random.default_rng(seed)
    chosen = [
        (outcome, pool[i])
        for outcome, pool in (("won", won), ("lost", lost))
        for i in sorted(rng.permutation(len(pool))[:count])
    ]
    return [
        {
            "split": split,
            "query": dataset.queries[query],
            "outcome": outcome,
            "right": [_title(documents[d]) for d in sorted(dataset.relevant(split, query))],
            "systems": {
                name: [
                    _shown(documents[d], d in dataset.relevant(split, query))
                    for d in ranking(runs[name].get(query, {}))[:_SHOWN_DOCUMENTS]
                ]
                for name in SYSTEMS
            },
        }
        for outcome, query in chosen
    ]


def _shown(document: Document, right: bool) -> dict[str, Any]:
    return {
        "title": _title(document),
        "text": _cut(document.text) if document.title else "",
        "right": right,
    }


def _title(document: Document) -> str:
    return _cut(document.title or document.text)


def _cut(text: str) -> str:
    return text if len(text) <= _CHARACTERS else text[: _CHARACTERS - 1].rstrip() + "…"
