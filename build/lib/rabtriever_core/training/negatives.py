"""Hard negatives: documents that look relevant but are not labelled so."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rabtriever_core.config import TeacherConfig
from rabtriever_core.index.ranking import top_positions
from rabtriever_core.models.arrays import Floats, unit_rows
from rabtriever_core.models.base_reranker import Reranker
from rabtriever_core.models.bm25 import Bm25
from rabtriever_core.models.states import document_states, query_states
from rabtriever_core.models.text_encoder import TextEncoder
from rabtriever_core.training.examples import Examples
from rabtriever_core.training.steps import queries_met
from rabtriever_core.training.stored import Arrays, stored_arrays

Mined = Sequence[npt.NDArray[np.int64]]
"""Document numbers of every training query's hard negatives, hardest first."""

_WIDER = 2
"""In a refresh the sources are asked for this many times the depth that is kept."""


@dataclass(frozen=True)
class Similarity:
    """Cosine similarity of queries and documents as an encoder sees them now."""

    queries: Floats
    """Unit e_Q [n, d]."""
    documents: Floats
    """Unit e_D [m, d]."""

    @classmethod
    def of(cls, encoder: TextEncoder, examples: Examples) -> "Similarity":
        """Encode the training queries and the corpus."""
        return cls(
            unit_rows(query_states(encoder, examples.queries, progress=True)),
            unit_rows(document_states(encoder, examples.documents, progress=True)),
        )

    def hard_negatives(
        self, examples: Examples, pool: npt.NDArray[np.int64], depth: int, *, block: int = 1024
    ) -> list[npt.NDArray[np.int64]]:
        """Nearest non-relevant documents of the pool for every query, nearest first."""
        return _best_wrong(
            lambda rows: self.queries[rows] @ self.documents.T, examples, pool, depth, block
        )


def lexical_negatives(
    examples: Examples, pool: npt.NDArray[np.int64], depth: int, *, block: int = 1024
) -> list[npt.NDArray[np.int64]]:
    """Non-relevant documents of the pool by BM25, best first; none that shares no word."""
    index = Bm25.fit(examples.documents, examples.language)

    def scores(rows: slice) -> Floats:
        found = index.scores(examples.queries[rows])
        found[found <= 0] = -np.inf
        return found

    return _best_wrong(scores, examples, pool, depth, block)


def mine(
    sources: Sequence[str],
    encoder: TextEncoder,
    examples: Examples,
    pool: npt.NDArray[np.int64],
    depth: int,
    queries: npt.NDArray[np.int64],
) -> list[npt.NDArray[np.int64]]:
    """Hard negatives of training queries from the named sources, in turns rank by rank.

    Args:
        sources: `encoder`, `bm25`.
        encoder: encodes as it is now, where `encoder` is named.
        examples: training queries and corpus.
        pool: numbers of the documents that may be negatives.
        depth: documents per query, fewer where the sources have no more.
        queries: numbers of the queries that training will meet. A large set has far more, and
            reading them all would cost more than the training.

    Returns:
        Document numbers of every training query; none for those not asked for.
    """
    asked = examples.only(queries)
    makers: dict[str, Callable[[], list[npt.NDArray[np.int64]]]] = {
        "encoder": lambda: Similarity.of(encoder, asked).hard_negatives(asked, pool, depth),
        "bm25": lambda: lexical_negatives(asked, pool, depth),
    }
    mined = [np.empty(0, dtype=np.int64) for _ in examples.queries]
    found = interleaved([makers[source]() for source in sources], depth)
    for query, row in zip(queries.tolist(), found, strict=True):
        mined[query] = row
    return mined


def interleaved(rankings: Sequence[Mined], depth: int) -> list[npt.NDArray[np.int64]]:
    """Every query's rankings merged: the first of each, the second of each, ...; no document twice.

    Args:
        rankings: of each source, document numbers per query, best first.
        depth: documents kept per query.
    """
    merged = []
    for rows in zip(*rankings, strict=True):
        in_turns = chain.from_iterable(zip_longest(*(row.tolist() for row in rows)))
        distinct = dict.fromkeys(document for document in in_turns if document is not None)
        merged.append(np.array(list(distinct)[:depth], dtype=np.int64))
    return merged


def _best_wrong(
    scores_of: Callable[[slice], Floats],
    examples: Examples,
    pool: npt.NDArray[np.int64],
    depth: int,
    block: int,
) -> list[npt.NDArray[np.int64]]:
    """Best wrong documents of the pool for every query: neither relevant nor left out.

    A score of -inf leaves one out, too.
    """
    outside = np.setdiff1d(np.arange(len(examples.documents)), pool)
    mined: list[npt.NDArray[np.int64]] = []
    for start in range(0, len(examples.queries), block):
        rows = slice(start, start + block)
        scores = scores_of(rows)
        scores[:, outside] = -np.inf
        for query, row in enumerate(scores, start=start):
            row[sorted(examples.relevant[query])] = -np.inf
            row[sorted(examples.left_out.get(query, ()))] = -np.inf
            kept = min(depth, int(np.isfinite(row).sum()))
            mined.append(top_positions(row, kept))
    return mined


def in_batch_documents(
    examples: Examples,
    queries: Sequence[int],
    mined: Mined | None,
    count: int,
    rng: np.random.Generator,
) -> list[int]:
    """Distinct documents of a contrastive step: all queries are compared with all of them.

    Args:
        examples: training queries and corpus.
        queries: the step's queries; each brings a relevant document.
        mined: hard negatives to draw from, where there are any; only documents that are relevant to
            some training query are drawn (see `Examples.relevant_documents`).
        count: hard negatives that each query brings.
        rng: random stream.
    """
    documents = dict.fromkeys(examples.positives(queries, rng))
    if mined is not None:
        for query in queries:
            hard = mined[query][examples.relevant_to_some[mined[query]]]
            documents |= dict.fromkeys(rng.permutation(hard)[:count].tolist())
    return list(documents)


class Miner:
    """Hard negatives of the current model, mined anew every so many steps.

    A round is stored beside the checkpoints: a resumed run reads what the first one mined.
    """

    def __init__(
        self, reranker: Reranker, examples: Examples, config: TeacherConfig, folder: Path, seed: int
    ) -> None:
        self.reranker, self.examples = reranker, examples
        self.config, self.folder, self.seed = config, folder, seed
        self.rounds: dict[int, Mined] = {}

    def at(self, step: int) -> Mined | None:
        """The hard negatives that a step draws from; none where the whole corpus is compared."""
        config, examples = self.config, self.examples
        if len(examples.documents) <= config.documents_per_query or not config.mined_share:
            return None
        number = step // config.mining_refresh_steps if config.mining_refresh_steps else 0
        if number not in self.rounds:
            path = self.folder / f"mined-{number:04d}.safetensors"
            stored = stored_arrays(path, lambda: _as_arrays(self._mine(number)))
            # Older rounds are never asked for again.
            self.rounds = {number: _from_arrays(stored)}
        return self.rounds[number]

    def _mine(self, number: int) -> list[npt.NDArray[np.int64]]:
        """Nearest by the sources; from the second round on ordered and filtered by the teacher."""
        config, examples = self.config, self.examples
        by_teacher = number > 0
        depth = config.mining_depth * (_WIDER if by_teacher else 1)
        everything = np.arange(len(examples.documents))
        met = self._met(number)
        encoder = self.reranker.encoder
        mined = mine(config.mining_sources, encoder, examples, everything, depth, met)
        if not by_teacher:
            return mined
        rng = np.random.default_rng([number, 7])
        chosen = rng.permutation(met)[: config.mining_queries]
        chosen = np.array([q for q in sorted(chosen.tolist()) if len(mined[q])], dtype=np.int64)
        if not len(chosen):
            # There is nothing to order: every document is relevant to all of these queries, or
            # BM25 alone mines and they share no word with an irrelevant one.
            return [row[: config.mining_depth] for row in mined]
        positives = np.array(examples.positives(chosen.tolist(), rng))
        # Rows are as long as the longest; what fills them up is read and left out again.
        width = max(len(mined[q]) for q in chosen)
        found = np.array([np.resize(mined[q], width) for q in chosen])
        margins = self.reranker.candidate_margins(
            [examples.queries[q] for q in chosen],
            examples.documents,
            np.column_stack([positives, found]),
            "teacher orders hard negatives",
        )
        for query, row in zip(chosen.tolist(), margins, strict=True):
            negatives = row[1 : len(mined[query]) + 1]
            # A "negative" that the teacher finds clearly better than the positive is probably
            # relevant, and just not labelled.
            likely_right = negatives > row[0] + config.false_negative_margin
            order = np.argsort(-negatives, kind="stable")
            mined[query] = mined[query][order[~likely_right[order]]]
        return [row[: config.mining_depth] for row in mined]

    def _met(self, number: int) -> npt.NDArray[np.int64]:
        """Queries that the steps of a round draw from."""
        config, examples = self.config, self.examples
        last = config.schedule.steps(len(examples.queries))
        refresh = config.mining_refresh_steps or last
        steps = range(number * refresh, min((number + 1) * refresh, last))
        met = queries_met("teacher", examples, config.schedule, self.seed, steps)
        if config.contrastive_queries:
            further = queries_met(
                "contrast", examples, config.schedule, self.seed, steps, config.contrastive_queries
            )
            met = np.union1d(met, further)
        return met


def _as_arrays(mined: Mined) -> Arrays:
    lengths = np.array([len(row) for row in mined], dtype=np.int64)
    return {"lengths": lengths, "documents": np.concatenate(mined)}


def _from_arrays(stored: Arrays) -> Mined:
    return np.split(stored["documents"], np.cumsum(stored["lengths"])[:-1])
