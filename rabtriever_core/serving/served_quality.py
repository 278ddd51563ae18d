"""The served release, as applications ask it, on the judged queries of any BEIR folder."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rabtriever_core.data.judgements import Judged, read_judged
from rabtriever_core.errors import DatasetError, ReleaseError
from rabtriever_core.evaluation.benchmark import TESTED_METRICS, sample
from rabtriever_core.evaluation.metrics import (
    METRICS,
    Run,
    mean_values,
    most_left_out,
    per_query,
    ranking,
    without,
)
from rabtriever_core.evaluation.significance import confidence_interval, paired_test, with_holm
from rabtriever_core.evaluation.systems import bm25_ranker
from rabtriever_core.evaluation.trec import read_trec_run
from rabtriever_core.index.lookup import all_documents, present

if TYPE_CHECKING:
    from rabtriever_core.serving.answers import Rerank
    from rabtriever_core.serving.retriever import Retriever

DEPTH = 10
"""Documents of an answer: as deep as the metrics look."""
SAVED_DEPTH = 100
"""Documents of an answer that is written to a run file: other tools look deeper."""
_BATCH = 64


@dataclass(frozen=True)
class Evaluated:
    """What a release is worth on some queries."""

    split: str
    release: str
    documents: int
    """Of its collection."""
    judged: Judged
    """The queries that were asked."""
    available: int
    """Queries of the split with a right document, of which those are a sample or all."""
    missing: dict[str, list[str]]
    """Query → its right documents that the collection does not have."""
    left_out: dict[str, list[str]]
    """Query → documents of the collection that its ranking leaves out: its own, excluded ones."""
    runs: dict[str, Run]
    """System → its rankings: first what the release answers, then what it is compared with."""
    reranked: int
    """Answers that the teacher put in order."""
    unranked: int
    """Queries of which a run that was given ranks nothing: they count 0 for it."""
    seed: int
    values: dict[str, dict[str, dict[str, float]]] = field(init=False)
    """System → metric → query → value. A query without any right document in the collection counts
    0, as it does for whoever asks it."""

    def __post_init__(self) -> None:
        found = {name: per_query(self.judged.qrels, run) for name, run in self.runs.items()}
        object.__setattr__(self, "values", found)

    @property
    def unanswerable(self) -> list[str]:
        """Queries none of whose right documents the collection has."""
        return [query for query, ids in self.missing.items() if self._right(query) == len(ids)]

    @property
    def system(self) -> str:
        """What the release answered with: `student`, `hybrid` or `two_stage`."""
        return next(iter(self.runs))

    def means(self, system: str) -> dict[str, float]:
        """Metric → mean over all queries."""
        return mean_values(self.values[system])

    def answerable(self, system: str) -> dict[str, float] | None:
        """Metric → mean over queries with a right document in the collection; None without one."""
        left_out = set(self.unanswerable)
        kept = {
            metric: {query: value for query, value in values.items() if query not in left_out}
            for metric, values in self.values[system].items()
        }
        return mean_values(kept) if kept[METRICS[0]] else None

    def comparisons(self) -> list[dict[str, Any]]:
        """Paired tests of the release against every other system, corrected together."""
        first = self.system
        return with_holm(
            [
                paired_test(
                    (first, self.values[first][metric]),
                    (other, self.values[other][metric]),
                    metric,
                    seed=self.seed,
                )
                for other in list(self.runs)[1:]
                for metric in TESTED_METRICS
            ]
        )

    def plain(self) -> dict[str, Any]:
        """As JSON has it; intervals are 95%."""
        return {
            "release": self.release,
            "documents": self.documents,
            "split": self.split,
            "queries": {
                "available": self.available,
                "asked": len(self.judged.queries),
                "reranked": self.reranked,
                "without_a_right_document": len(self.unanswerable),
                "with_some_missing": len(self.missing) - len(self.unanswerable),
            }
            | ({"with_documents_left_out": len(self.left_out)} if self.left_out else {})
            | ({"not_in_the_run": self.unranked} if "run" in self.runs else {}),
            "systems": {name: self._system(name) for name in self.runs},
            "comparisons": self.comparisons(),
        }

    def lines(self) -> Iterator[dict[str, Any]]:
        """A row per query."""
        for query, text in self.judged.queries.items():
            yield {
                "query_id": query,
                "query": text,
                "right": sorted(self.judged.right(query)),
                "missing": self.missing.get(query, []),
                "systems": {
                    name: {
                        "ranking": ranking(run.get(query, {}))[:DEPTH],
                        "metrics": {metric: self.values[name][metric][query] for metric in METRICS},
                    }
                    for name, run in self.runs.items()
                },
            } | ({"left_out": self.left_out[query]} if query in self.left_out else {})

    def _right(self, query: str) -> int:
        return len(self.judged.right(query))

    def _system(self, name: str) -> dict[str, Any]:
        means = self.means(name)
        metrics = {}
        for metric in METRICS:
            low, high = confidence_interval(
                list(self.values[name][metric].values()), seed=self.seed
            )
            metrics[metric] = {"value": means[metric], "low": low, "high": high}
        return {"metrics": metrics, "answerable": self.answerable(name)}


def evaluate(
    retriever: "Retriever",
    folder: Path,
    split: str = "test",
    *,
    rerank: "Rerank" = False,
    bm25: bool = False,
    other: Path | None = None,
    max_queries: int | None = None,
    seed: int = 17,
    depth: int = DEPTH,
) -> Evaluated:
    """Ask the served release the judged queries of a BEIR folder.

    The folder's corpus is not looked at: documents are those of the collection.

    Args:
        retriever: of the workspace.
        folder: with `queries.jsonl` and `qrels/`.
        split: of the judgements.
        rerank: let the teacher put the first documents in order, as in `Retriever.search`.
        bm25: rank the collection's documents by BM25 as well.
        other: a TREC run file of anyone, measured on the same judgements.
        max_queries: a sample of so many; all when not given.
        seed: of the sample, and of intervals and tests.
        depth: documents kept per query; no figure looks deeper than `DEPTH`.

    Raises:
        DatasetError: folder or run file cannot be read, or the run ranks none of the queries.
        ReleaseError: another release was promoted meanwhile.
        IndexUnavailableError: as for `Retriever.search`, and IndexMismatchError.
    """
    from rabtriever_core.data.dataset import Document

    whole = read_judged(folder, split)
    given = None if other is None else read_trec_run(other)
    asked = sample(list(whole.queries), max_queries, seed)
    judged = whole.only(asked)
    right = {query: judged.right(query) for query in asked}
    left_out = {query: judged.left_out(query) for query in asked}
    documents: list[Document] = []
    with retriever.held() as (opened, client):
        release = opened.release
        named = set().union(*right.values(), *left_out.values())
        there = present(client, release.collection, named)
        if bm25:
            documents = list(all_documents(client, release.collection))
    left_out = {query: ids & there for query, ids in left_out.items() if ids & there}
    deep = depth + most_left_out(left_out, asked)
    run, releases, reranked = _asked(retriever, judged.queries, rerank, deep)
    if releases != {release.id}:
        raise ReleaseError(
            f"releases {', '.join(sorted(releases | {release.id}))} were served while the queries "
            "were asked: ask them again"
        )
    first_stage = "student" if opened.lexical is None else "hybrid"
    runs = {"two_stage" if rerank else first_stage: run}
    if bm25:
        language = release.settings["dataset"].get("language", "auto")
        rank = bm25_ranker(documents, deep, language)
        runs["bm25"] = dict(zip(asked, rank(list(judged.queries.values())), strict=True))
    if given is not None:
        runs["run"] = {query: given[query] for query in asked if query in given}
        if not runs["run"]:
            raise DatasetError(
                f"{other} ranks none of the {len(asked)} queries that {folder} asks in {split}: "
                f"its first query is {next(iter(given))!r}, one of the folder's is {asked[0]!r}"
            )
    return Evaluated(
        split=split,
        release=release.id,
        documents=release.count,
        judged=judged,
        available=len(whole.queries),
        missing={query: sorted(ids - there) for query, ids in right.items() if ids - there},
        left_out={query: sorted(ids) for query, ids in left_out.items()},
        runs={name: without(run, left_out, depth) for name, run in runs.items()},
        reranked=reranked,
        unranked=len(asked) - len(runs.get("run", asked)),
        seed=seed,
    )


def _asked(
    retriever: "Retriever", queries: Mapping[str, str], rerank: "Rerank", depth: int
) -> tuple[Run, set[str], int]:
    """Rankings, the releases that answered, and how often the teacher put documents in order."""
    from tqdm import tqdm

    run: Run = {}
    releases: set[str] = set()
    reranked = 0
    with tqdm(total=len(queries), desc="queries", unit="query", disable=None) as bar:
        for batch in _batches(list(queries)):
            answers = retriever.search_batch([queries[q] for q in batch], depth, rerank=rerank)
            for query, answer in zip(batch, answers, strict=True):
                # By place: the teacher's order is not that of the student's margins.
                run[query] = {hit.document_id: -float(i) for i, hit in enumerate(answer.hits)}
                releases.add(answer.release.id)
                reranked += answer.reranked
            bar.update(len(batch))
    return run, releases, reranked


def _batches(items: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]
