"""Stage: all systems on the same queries, as JSON, page, plots and rankings."""

from pathlib import Path
from typing import Any

from rabtriever_core.baselines.bi_encoder import BiEncoder
from rabtriever_core.evaluation import benchmark as bench
from rabtriever_core.evaluation.examples import pick_examples
from rabtriever_core.evaluation.fidelity import graph_recall, sampled_margins
from rabtriever_core.evaluation.further_systems import further_rankers
from rabtriever_core.evaluation.gallery import draw_plots
from rabtriever_core.evaluation.metrics import Run, ranking
from rabtriever_core.evaluation.report import write_report
from rabtriever_core.evaluation.scaling import measure_response_time
from rabtriever_core.evaluation.schema import in_order
from rabtriever_core.evaluation.systems import (
    Ranker,
    bm25_ranker,
    qdrant_ranker,
    reranker,
    teacher_ranker,
    vector_ranker,
)
from rabtriever_core.evaluation.wording import headline_split
from rabtriever_core.index.aliases import check_served, served_collection
from rabtriever_core.index.connection import connect
from rabtriever_core.index.model_agreement import agreement_with_model
from rabtriever_core.index.shards import read_shards
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.models.retriever import Rabtriever
from rabtriever_core.stages.run import StageContext
from rabtriever_core.training.loop import HISTORY_FILE, read_history

_MODELS = ("teacher", "student")
_SERVED_PARTS = (*_MODELS, "document_embeddings")
_MAX_TEACHER_PAIRS = 4_000_000
"""Above this many documents × queries in a split the teacher only reranks the student's best."""
_LENGTH_QUERIES = 10
_RUN_DEPTH = 10


def make(context: StageContext) -> dict[str, Any]:
    """Write benchmark.json, benchmark.html, plots/ and runs/; returns MRR@10 per system and split.

    Raises:
        IndexMismatchError: Qdrant serves a collection that other artifacts built.
        IndexUnavailableError: Qdrant cannot be opened.
        DatasetError: there are no judged queries outside the training split.
    """
    settings, dataset, inputs = context.settings, context.dataset(), context.inputs
    config, runtime = settings.benchmark, settings.runtime
    documents = dataset.documents
    splits = settings.dataset
    chosen = bench.evaluated_queries(
        dataset, config, splits.train_split, splits.dev_split, runtime.seed
    )
    texts = [dataset.queries[query] for queries in chosen.values() for query in queries]
    timed = bench.sample(texts, config.latency_queries, runtime.seed)
    teacher = GenerativeReranker.load(inputs["teacher"].folder, runtime)
    student = Rabtriever.load(inputs["student"].folder, inputs["teacher"].folder, runtime)
    _, vectors = read_shards(inputs["document_embeddings"].folder)
    most_queries = max(len(queries) for queries in chosen.values())
    full_pool = len(documents) * most_queries <= _MAX_TEACHER_PAIRS

    with connect(settings.index, context.workspace.qdrant) as client:
        served = served_collection(client, context.workspace.alias)
        check_served(served, {part: inputs[part].hash for part in _SERVED_PARTS})
        systems = _baselines(context)
        systems["student"] = qdrant_ranker(student, client, served.name, config.depth)
        systems["teacher"] = (
            teacher_ranker(teacher, documents, config.depth)
            if full_pool
            else reranker(teacher, documents, systems["student"])
        )
        systems |= further_rankers(
            inputs["baselines"].folder,
            settings,
            documents,
            # As the teacher: on what it ranks, so that the two are compared on equal terms.
            retrieve=None if full_pool else systems["student"],
        )
        runs = {
            split: bench.rank_systems(systems, {id_: dataset.queries[id_] for id_ in queries})
            for split, queries in chosen.items()
        }
        latency = bench.measure_latency(systems, timed)
        agreement = agreement_with_model(client, served.name, student, texts, documents, vectors)

    benchmark: dict[str, Any] = {
        "schema": 1,
        "dataset": {
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "documents": len(documents),
            "queries": {split: len(dataset.split_queries(split)) for split in dataset.qrels},
        },
        "splits": {
            split: bench.split_result(
                dataset,
                split,
                split_runs,
                latency,
                train_split=settings.dataset.train_split,
                permutations=config.permutations,
                seed=runtime.seed,
            )
            for split, split_runs in runs.items()
        },
        "exactness": {
            "top10_agreement": agreement,
            **graph_recall(vectors, student.encode_queries(texts)),
        },
        "seconds": {
            stage: seconds
            for stage, seconds in context.workspace.seconds().items()
            if stage != "benchmark_report"
        },
        "training": _budgets(context),
        "response_time": measure_response_time(
            teacher,
            student,
            documents,
            timed[:_LENGTH_QUERIES],
            config.document_lengths,
            runtime.seed,
        ),
    }
    if not full_pool:
        benchmark["teacher_candidates"] = config.depth
    shown = headline_split(benchmark["splits"])
    plots = draw_plots(
        context.output / "plots",
        benchmark,
        dataset,
        runs,
        sampled_margins(student, teacher, documents, texts, runtime.seed),
        {
            name: read_history(inputs[name].folder)
            for name in _MODELS
            if (inputs[name].folder / HISTORY_FILE).is_file()
        },
    )
    examples = pick_examples(dataset, shown, chosen[shown], runs[shown], seed=runtime.seed)
    write_report(benchmark, plots, examples, context.output)
    for split, split_runs in runs.items():
        for name, run in split_runs.items():
            _write_run(run, context.output / "runs" / f"{split}-{name}.tsv")
    return {
        split: {
            name: round(result["systems"][name]["metrics"]["MRR@10"], 6)
            for name in in_order(result["systems"])
        }
        for split, result in benchmark["splits"].items()
    }


def _baselines(context: StageContext) -> dict[str, Ranker]:
    """BM25 and the bi-encoder; its documents are embedded here, before anything is timed."""
    documents, depth = context.dataset().documents, context.settings.benchmark.depth
    model = BiEncoder.load(context.inputs["bi_encoder"].folder, context.settings.runtime)
    vectors = model.encode_documents(documents)
    ids = [document.id for document in documents]
    return {
        "bm25": bm25_ranker(documents, depth),
        "bi_encoder": vector_ranker(model.encode_queries, ids, vectors, depth),
    }


def _budgets(context: StageContext) -> dict[str, Any]:
    """System → what it was trained on, and how long that took where it ran on this machine."""
    trained = {name: context.inputs[name].meta.metrics for name in ("bi_encoder", *_MODELS)}
    trained |= context.inputs["baselines"].meta.metrics
    seconds = context.workspace.seconds()
    return {
        name: trained[name]["budget"] | ({"seconds": seconds[name]} if name in seconds else {})
        for name in in_order(trained)
    }


def _write_run(run: Run, path: Path) -> None:
    """The best of every query: query, document, rank and score, separated by tabs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["query-id\tcorpus-id\trank\tscore"]
    for query, scores in run.items():
        for rank, document in enumerate(ranking(scores)[:_RUN_DEPTH], 1):
            lines.append(f"{query}\t{document}\t{rank}\t{scores[document]:.6g}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
