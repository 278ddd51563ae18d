"""How near a graph's margins are to torch's."""

from collections.abc import Iterator, Sequence

import numpy as np

from rabtriever_core.index.onnx.reader import QueryGraph
from rabtriever_core.index.query_tower import QueryTower
from rabtriever_core.models.arrays import Floats

TOLERANCE = 1e-3
"""Largest difference of a margin that a graph in float32 may have."""
AGREEMENT = 0.9
"""Least share of torch's ten best documents that a graph in int8 must have among its own."""
# What no data set has: nothing, structure as text, more than fits, white space, other scripts.
PROBES = (
    "",
    "<|query|> <|answer|> <|T|> <|pad|> <s> </s> <|im_end|> <|endoftext|> [CLS] [SEP] [MASK]",
    "one too many " * 400,
    "  line\n\n\tbreaks \r\n and\u00a0spaces  ",
    "Ünïcödé ﬁgures № ½, 日本語, العربية, 🙂👩‍👩‍👧",
)


def largest_difference(
    graph: QueryGraph, tower: QueryTower, texts: Sequence[str], stored: Floats
) -> float:
    """Of the margins of queries with stored vectors [m, k]; queries are read alone and together."""
    expected = tower.encode(texts).margins(stored)
    return max(
        float(np.abs(margins - expected).max())
        for margins in _alone_and_together(graph, texts, stored)
    )


def top_agreement(
    graph: QueryGraph, tower: QueryTower, queries: Sequence[str], stored: Floats
) -> float:
    """Share of the graph's ten best of the stored vectors [m, k] that torch has among its own.

    The mean over queries, read alone or together, whichever agree less. A document that torch puts
    within `TOLERANCE` of its tenth counts as among them.
    """
    expected = tower.encode(queries).margins(stored)
    k = min(10, len(stored))
    least = -np.partition(-expected, k - 1, axis=1)[:, k - 1 : k] - TOLERANCE
    shares = []
    for margins in _alone_and_together(graph, queries, stored):
        best = np.argpartition(-margins, k - 1, axis=1)[:, :k]
        shares.append(float((np.take_along_axis(expected, best, axis=1) >= least).mean()))
    return min(shares)


def _alone_and_together(
    graph: QueryGraph, texts: Sequence[str], stored: Floats
) -> Iterator[Floats]:
    for size in (1, len(texts)):
        yield graph.encode(texts, batch_size=size).margins(stored)
