"""The pairs of a teacher's training step, and what the model says of them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rabtriever_core.config import TeacherConfig
from rabtriever_core.models.base_reranker import Reranker
from rabtriever_core.training.examples import Examples
from rabtriever_core.training.negatives import Mined
from rabtriever_core.training.steps import start_step


@dataclass(frozen=True)
class Pairs:
    """n queries with k candidates each; every distinct document is read once."""

    queries: list[int]
    drawn: npt.NDArray[np.int64]
    """Document numbers [n, k]."""
    distinct: npt.NDArray[np.int64]
    """The documents among them [m]."""
    column: npt.NDArray[np.int64]
    """Place of every candidate in `distinct` [n, k]."""
    query_ids: list[list[int]]
    document_ids: list[list[int]]
    relevance: npt.NDArray[np.bool_]
    """Which queries and distinct documents belong together [n, m]."""
    relevant_to_some: npt.NDArray[np.bool_]
    """Which distinct documents are relevant to some training query [m]."""
    counted: npt.NDArray[np.bool_]
    """Which of these pairs are not left out (`Examples.counted`) [n, m]."""

    def read(
        self, reranker: Reranker, layers: tuple[int, ...] | None = None
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """(margins [n, k], e_Q [n, d] and e_D [m, d], each of the final norm, then of the layers).

        The queries are read alone only if `layers` is not None; it may be empty. The margins are
        those of reading the pair, without the cosine that a teacher may add to it. On training
        queries the cosine is nearly always right: reading trained on what the cosine misses there
        would learn noise.
        """
        n, k = self.drawn.shape
        documents, queries = self.column.ravel().tolist(), np.repeat(np.arange(n), k).tolist()
        states, e_d = reranker.pair_states(
            self.document_ids, self.query_ids, documents, queries, layers or ()
        )
        backbone = reranker.backbone
        e_q: list[Tensor] = []
        if layers is not None:
            e_q = backbone.last_states_of_layers(backbone.prompt.alone(self.query_ids), layers)
            e_d = e_d or backbone.last_states_of_layers(self.document_ids, layers)
        return (states @ reranker.direction()).view(n, k), e_q, e_d

    def relevant(self) -> Tensor:
        """Boolean [n, k]: which candidates are relevant."""
        return torch.from_numpy(np.take_along_axis(self.relevance, self.column, axis=1))

    def used(self) -> Tensor:
        """Boolean [n, k]: which candidates losses may use (see `supervised`)."""
        used = self.counted & self.relevant_to_some
        return torch.from_numpy(np.take_along_axis(used, self.column, axis=1))


def draw_pairs(
    examples: Examples, mined: Mined | None, config: TeacherConfig, seed: int, step: int
) -> Pairs:
    """Candidates of the step's queries, their tokens thinned."""
    schedule = config.schedule
    rng, queries = start_step("teacher", examples, schedule, seed, step)
    count, share = config.documents_per_query, config.mined_share
    drawn = candidates(examples, queries, mined, count, share, rng)
    distinct, column = np.unique(drawn, return_inverse=True)
    return Pairs(
        queries=queries,
        drawn=drawn,
        distinct=distinct,
        column=column.reshape(drawn.shape),
        query_ids=examples.thinned_queries(queries, schedule.token_dropout, rng),
        document_ids=examples.thinned_documents(distinct, schedule.token_dropout, rng),
        relevance=examples.relevance(queries, distinct.tolist()),
        relevant_to_some=examples.relevant_to_some[distinct],
        counted=examples.counted(queries, distinct),
    )


def candidates(
    examples: Examples,
    queries: list[int],
    mined: Mined | None,
    count: int,
    mined_share: float,
    rng: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """Document numbers [n, k] that the queries of a step are compared with.

    A positive first, then hard negatives, then random ones; the whole corpus if it has at most
    `count` documents. What else is relevant or left out comes only where nothing else fills a row.
    """
    pool = np.arange(len(examples.documents))
    if len(pool) <= count:
        return np.tile(pool, (len(queries), 1))
    hard = 0 if mined is None else round(mined_share * (count - 1))
    rows = []
    for query, positive in zip(queries, examples.positives(queries, rng), strict=True):
        chosen = {positive: None}
        neither = examples.relevant[query] | examples.left_out.get(query, frozenset())
        if mined is not None:
            chosen |= dict.fromkeys(rng.permutation(mined[query])[:hard].tolist())
        for document in rng.permutation(pool).tolist():
            if len(chosen) == count:
                break
            if document not in neither:
                chosen.setdefault(document)
        for document in rng.permutation(pool).tolist():
            # Too few documents are wrong for this query: the others fill the row.
            if len(chosen) == count:
                break
            chosen.setdefault(document)
        rows.append(list(chosen))
    return np.array(rows, dtype=np.int64)
