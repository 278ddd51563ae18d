"""Stage: all systems on the same queries, as JSON, page, plots and rankings."""

from collections.abc import Mapping, Sequence
from typing import Any

from rabtriever_core.data.dataset import Dataset
from rabtriever_core.evaluation import benchmark as bench
from rabtriever_core.evaluation import two_stage
from rabtriever_core.evaluation.calibration_result import split_calibration
from rabtriever_core.evaluation.fidelity import graph_recall, sampled_margins
from rabtriever_core.evaluation.metrics import Run, most_left_out, ranking
from rabtriever_core.evaluation.results import write_runs
from rabtriever_core.evaluation.scaling import measure_response_time
from rabtriever_core.evaluation.schema import in_order
from rabtriever_core.evaluation.systems import (
    Ranker,
    completed,
    hybrid_ranker,
    popularity_ranker,
    qdrant_ranker,
    reranker,
    score_ranker,
    teacher_ranker,
    vector_ranker,
    vector_reranker,
)
from rabtriever_core.index.aliases import check_built_by, physical_collection
from rabtriever_core.index.checks.model_agreement import agreement_with_model
from rabtriever_core.index.connection import connect
from rabtriever_core.index.lexical import Lexical, hashes
from rabtriever_core.index.onnx.reader import QueryGraph
from rabtriever_core.index.quantization import search_params
from rabtriever_core.index.query_tower import QueryTower
from rabtriever_core.index.stored_documents import StoredDocuments
from rabtriever_core.models.arrays import unit_rows
from rabtriever_core.models.bm25 import Bm25
from rabtriever_core.models.probability import Calibration
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.report.benchmark import write_report
from rabtriever_core.report.examples import pick_examples
from rabtriever_core.report.gallery import draw_calibration, draw_plots, draw_two_stage
from rabtriever_core.report.wording import headline_split
from rabtriever_core.stages.context import StageContext
from rabtriever_core.stages.hybrid import beside, bm25_result
from rabtriever_core.training.bi_encoder import BiEncoder
from rabtriever_core.training.history import HISTORY_FILE, read_history

_MODELS = ("teacher", "student")
_BUILDING_PARTS = (*_MODELS, "document_embeddings")
_LENGTH_QUERIES = 10


def make(context: StageContext) -> dict[str, Any]:
    """Write benchmark.json, benchmark.html, plots/ and runs/; returns MRR@10 per system and split.

    Raises:
        IndexMismatchError: the candidate's collection is gone, or other artifacts built it.
        IndexUnavailableError: Qdrant cannot be opened.
        DatasetError: there are no judged queries outside the training split.
    """
    settings, dataset, inputs = context.settings, context.dataset(), context.inputs
    config, runtime = settings.benchmark, settings.runtime
    documents = dataset.documents
    splits = settings.dataset
    chosen = bench.evaluated_queries(dataset, config, splits.train_split, splits.dev_split)
    texts = [dataset.queries[query] for queries in chosen.values() for query in queries]
    timed = bench.sample(texts, config.latency_queries, runtime.seed)
    teacher = GenerativeReranker.load(inputs["teacher"].folder, runtime)
    tower = QueryTower.load(
        inputs["student"].folder,
        inputs["teacher"].folder,
        inputs["qdrant_collection"].folder,
        settings.index,
        runtime,
    )
    student, lexical = tower.student, Lexical.load(inputs["qdrant_collection"].folder)
    embeddings = StoredDocuments.open(inputs["document_embeddings"].folder)
    most_queries = max(len(queries) for queries in chosen.values())
    full_pool = len(documents) * most_queries <= config.teacher_pairs
    candidates = min(config.teacher_depth, config.depth, len(documents))
    # Systems rank so much deeper that `config.depth` documents are there without those left out.
    further = most_left_out(dataset.left_out, dataset.queries)
    depth = config.depth + further

    with connect(settings.index, context.workspace.qdrant) as client:
        built = physical_collection(client, inputs["qdrant_collection"].meta.metrics["collection"])
        parts = {part: inputs[part].hash for part in _BUILDING_PARTS}
        parts |= {"gauge": tower.gauge.fingerprint, **hashes(lexical)}
        check_built_by(built, parts)
        bm25 = Bm25.fit(documents, dataset.language)
        hybrid = bm25_result(context, tower, embeddings, bm25, lexical)
        systems = _baselines(context, bm25, depth)
        # What encodes queries in service; the checks of exactness are of the model itself.
        encoder = QueryGraph.beside(inputs["qdrant_collection"].folder, runtime.threads) or tower
        systems["student"] = qdrant_ranker(
            encoder, client, built.name, depth, search_params(settings.index)
        )
        if lexical is not None:
            systems["hybrid"] = hybrid_ranker(
                encoder, lexical, client, built.name, depth, search_params(settings.index)
            )
        elif weight := hybrid["weight"]:
            systems["hybrid"] = beside(
                encoder, embeddings.stored(tower), embeddings.ids, bm25, weight, depth
            )
        systems["teacher"] = (
            teacher_ranker(teacher, documents, depth)
            if full_pool
            else reranker(teacher, documents, systems["student"], candidates + further)
        )
        if teacher.cosine_scale and teacher.encoder is teacher.backbone:
            # What is left of the teacher when it reads no pair: whether reading pays.
            # Another encoder's cosine is the bi-encoder's, which is there already.
            encode, ids = BiEncoder(teacher.encoder).encode_queries, embeddings.ids
            states = unit_rows(embeddings.states())
            systems["teacher_cosine"] = (
                vector_ranker(encode, ids, states, depth)
                if full_pool
                else vector_reranker(encode, ids, states, systems["student"], candidates + further)
            )
        runs = {
            split: bench.rank_systems(
                systems,
                {id_: dataset.queries[id_] for id_ in queries},
                dataset.left_out,
                config.depth,
            )
            for split, queries in chosen.items()
        }
        dev_run = _dev_run(context, systems["student"], runs)
        latency = bench.measure_latency(systems, timed)
        agreement = agreement_with_model(
            client,
            built.name,
            tower,
            texts,
            documents,
            embeddings,
            settings.index,
            None if lexical is None else (lexical, lexical.documents(documents)),
        )

    seconds = context.workspace.seconds()
    benchmark: dict[str, Any] = {
        "schema": 1,
        "dataset": {
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "documents": len(documents),
            "queries": {split: len(dataset.split_queries(split)) for split in dataset.qrels},
            **_left_out(dataset, chosen),
        },
        "seed": runtime.seed,
        "splits": bench.corrected(
            {
                split: bench.split_result(
                    dataset,
                    split,
                    split_runs,
                    latency,
                    permutations=config.permutations,
                    seed=runtime.seed,
                )
                for split, split_runs in runs.items()
            }
        ),
        "calibration": _calibration(context, teacher, runs),
        "two_stage": _two_stage(context, teacher, runs, dev_run, latency["student"]["median"]),
        "hybrid": hybrid,
        "exactness": {
            "top10_agreement": agreement.top10,
            **agreement.losses(),
            **graph_recall(embeddings.stored(tower), tower.encode(texts).vectors),
        },
        "seconds": {
            name: seconds[name]
            for name in ("validated_dataset", "backbone", *inputs)
            if name in seconds
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
        benchmark["teacher_candidates"] = candidates
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
    write_report(
        benchmark,
        plots,
        examples,
        context.output,
        draw_calibration(context.output / "plots", benchmark["calibration"]),
        draw_two_stage(context.output / "plots", benchmark["two_stage"]),
    )
    write_runs(context.output, dataset, runs)
    return {
        split: {
            name: round(result["systems"][name]["metrics"]["MRR@10"], 6)
            for name in in_order(result["systems"])
        }
        for split, result in benchmark["splits"].items()
    }


def _left_out(dataset: Dataset, chosen: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """How many queries leave documents out of their rankings; nothing where none does."""
    counts = {
        split: sum(query in dataset.left_out for query in queries)
        for split, queries in chosen.items()
    }
    some = {split: count for split, count in counts.items() if count}
    return {"left_out": some} if some else {}


def _baselines(context: StageContext, bm25: Bm25, depth: int) -> dict[str, Ranker]:
    """Popularity, BM25 and the bi-encoder; its documents are embedded before anything is timed."""
    dataset = context.dataset()
    documents = dataset.documents
    model = BiEncoder.load(context.inputs["bi_encoder"].folder, context.settings.runtime)
    vectors = model.encode_documents(documents)
    ids = [document.id for document in documents]
    return {
        "popularity": popularity_ranker(dataset, context.settings.dataset.train_split, depth),
        "bm25": score_ranker(bm25.scores, ids, depth),
        "bi_encoder": vector_ranker(model.encode_queries, ids, vectors, depth),
    }


def _calibration(
    context: StageContext, teacher: GenerativeReranker, runs: Mapping[str, Mapping[str, Run]]
) -> dict[str, Any]:
    """The calibration fitted on dev, measured on every split."""
    dataset, k = context.dataset(), context.settings.calibration.documents_per_query
    calibration = Calibration.load(context.inputs["calibration"].folder)
    splits = {}
    for split, systems in runs.items():
        shown = {query: ranking(scores)[:k] for query, scores in systems["student"].items()}
        splits[split] = split_calibration(
            systems["student"],
            completed(teacher, dataset.documents, systems["teacher"], shown, dataset.queries),
            {query: dataset.relevant(split, query) for query in shown},
            calibration,
            k,
            len(dataset.documents),
        )
    return {**calibration.model_dump(), "documents_per_query": k, "splits": splits}


def _dev_run(context: StageContext, student: Ranker, runs: Mapping[str, Mapping[str, Run]]) -> Run:
    """The student's rankings of dev queries, of a sample of them where dev is not benchmarked."""
    dataset, split = context.dataset(), context.settings.dataset.dev_split
    if split in runs:
        return runs[split]["student"]
    judged = dataset.split_queries(split)
    queries = bench.sample(judged, two_stage.MAX_QUERIES, bench.SAMPLE_SEED)
    texts = {query: dataset.queries[query] for query in queries}
    depth = context.settings.benchmark.depth
    return bench.rank_systems({"student": student}, texts, dataset.left_out, depth)["student"]


def _two_stage(
    context: StageContext,
    teacher: GenerativeReranker,
    runs: Mapping[str, Mapping[str, Run]],
    dev_run: Run,
    student_ms: float,
) -> dict[str, Any]:
    """Reranking at every threshold: what it gains on every split, and on dev to choose one."""
    settings, dataset = context.settings, context.dataset()
    config, seed = settings.serving, settings.runtime.seed
    dev = settings.dataset.dev_split
    depth = min(config.rerank_depth, settings.benchmark.depth, len(dataset.documents))
    ranked = {split: systems["student"] for split, systems in runs.items()}
    known = {split: systems["teacher"] for split, systems in runs.items()}
    every = {query: scores for run in ranked.values() for query, scores in run.items()}
    rerank_ms = two_stage.rerank_milliseconds(
        teacher,
        dataset.documents,
        every,
        dataset.queries,
        bench.sample(list(every), settings.benchmark.latency_queries, seed),
        depth,
    )
    curves = {}
    for split, student in ({dev: dev_run} | ranked).items():
        curves[split] = two_stage.curve(
            dataset.qrels[split],
            student,
            two_stage.first_margins(
                teacher, dataset.documents, student, known.get(split, {}), dataset.queries, depth
            ),
            Calibration.load(context.inputs["calibration"].folder),
            depth=depth,
            rerank_below=config.rerank_below,
            student_ms=student_ms,
            rerank_ms=rerank_ms,
            seed=seed,
        )
    return two_stage.two_stage_result(
        {split: curves[split] for split in runs},
        (dev, curves[dev]),
        depth=depth,
        rerank_depth=config.rerank_depth,
        rerank_below=config.rerank_below,
        student_ms=student_ms,
        rerank_ms=rerank_ms,
    )


def _budgets(context: StageContext) -> dict[str, Any]:
    """System → what it was trained on, and how long that took where it ran on this machine.

    What was taken as it is, such as a zero-shot teacher, is left out.
    """
    trained = {name: context.inputs[name].meta.metrics for name in ("bi_encoder", *_MODELS)}
    seconds = context.workspace.seconds()
    return {
        name: trained[name]["budget"] | ({"seconds": seconds[name]} if name in seconds else {})
        for name in in_order(trained)
        if "budget" in trained[name]
    }
