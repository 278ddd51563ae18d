"""`rabtriever eval`: the served release on the judged queries of any BEIR folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click
import typer

from rabtriever_core.cli.application import ASK, RERANK, RerankAlone, app, examples
from rabtriever_core.cli.asking import RerankOption
from rabtriever_core.cli.completion import splits
from rabtriever_core.cli.options import JsonOption, WorkspaceOption, print_json
from rabtriever_core.workspace.atomic import write_json_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rabtriever_core.serving.served_quality import Evaluated


@app.command(
    "eval",
    cls=RerankAlone,
    rich_help_panel=ASK,
    epilog=examples(
        "rabtriever eval my-dataset --split test --bm25",
        "rabtriever eval my-dataset --rerank auto --max-queries 500 --per-query rows.jsonl",
        "rabtriever eval my-dataset --at-least MRR@10=0.8 --at-least R@1=0.7 --json",
        "rabtriever eval my-dataset --run theirs.trec --save-run ours.trec",
        "rabtriever eval scifact --mteb SciFact --rerank",
    ),
)
def evaluate(
    folder: Annotated[Path, typer.Argument()],
    split: Annotated[
        str | None,
        typer.Option(
            help="Whose judgements: qrels/SPLIT.tsv.",
            autocompletion=splits,
            show_default="test, or the task's own",
        ),
    ] = None,
    rerank: RerankOption = "never",
    bm25: Annotated[
        bool, typer.Option("--bm25", help="Rank the collection by BM25 as well, and compare.")
    ] = False,
    max_queries: Annotated[
        int | None, typer.Option(min=1, help="A sample of so many.", show_default="all")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the sample, intervals and tests.")] = 17,
    per_query: Annotated[
        Path | None,
        typer.Option(help="Write a row per query, as JSON lines.", show_default=False),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(help="A TREC run file, measured and compared.", show_default=False),
    ] = None,
    save_run: Annotated[
        Path | None,
        typer.Option(help="Write 100 documents per query as a TREC run file.", show_default=False),
    ] = None,
    mteb: Annotated[
        str | None,
        typer.Option(
            metavar="TASK",
            help="FOLDER holds the data of this task of mteb, which evaluates on all of them.",
            show_default=False,
        ),
    ] = None,
    at_least: Annotated[
        list[str] | None,
        typer.Option(metavar="METRIC=VALUE", help="What must be reached, in 0..1."),
    ] = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Ask the served release the judged queries of FOLDER, and say how right it is.

    FOLDER is in BEIR layout; its corpus is not looked at, documents are those that are served. A
    query whose right documents are not among them counts 0, and how many these are is said. With
    --mteb, FOLDER is a copy of the task's data from the hub, and its own corpus is ranked. Exit
    codes: 0 done; 1 where a figure is not reached (--at-least); 2 for an error.
    """
    if mteb is not None:
        from rabtriever_core.cli.evaluating_mteb import evaluate_by_mteb

        given = (bm25, max_queries, per_query, run, save_run, at_least)
        if rerank == "auto" or any(given):
            raise click.UsageError(
                "with --mteb, mteb measures: of the other options only --split, --rerank (always "
                "or never) and --json go with it"
            )
        evaluate_by_mteb(
            workspace, mteb, folder, split, two_stage=rerank == "always", as_json=as_json
        )
        return
    from rabtriever_core.evaluation.trec import write_trec_run
    from rabtriever_core.serving.retriever import Retriever
    from rabtriever_core.serving.served_quality import DEPTH, SAVED_DEPTH
    from rabtriever_core.serving.served_quality import evaluate as evaluate_served

    wanted = _wanted(at_least or ())
    for option, path in (("--per-query", per_query), ("--save-run", save_run)):
        if path is not None and not path.parent.is_dir():
            raise click.UsageError(f"{option} {path}: there is no folder {path.parent}")
    with Retriever.open(workspace) as retriever:
        found = evaluate_served(
            retriever,
            folder,
            split or "test",
            rerank=RERANK[rerank],
            bm25=bm25,
            other=run,
            max_queries=max_queries,
            seed=seed,
            depth=DEPTH if save_run is None else SAVED_DEPTH,
        )
    means = found.means(found.system)
    held = [
        {
            "metric": metric,
            "wanted": least,
            "value": means[metric],
            "reached": means[metric] >= least,
        }
        for metric, least in wanted
    ]
    if per_query is not None:
        write_json_lines(per_query, found.lines())
    if save_run is not None:
        write_trec_run(save_run, found.runs[found.system], f"rabtriever-{found.release}")
    if as_json:
        print_json({"folder": str(folder), **found.plain(), "at_least": held})
    else:
        typer.echo(_shown(found))
    failed = [row for row in held if not row["reached"]]
    for row in failed:
        typer.secho(
            f"not reached: {row['metric']} is {row['value']:.4f}, wanted at least {row['wanted']}",
            fg=typer.colors.RED,
            err=True,
        )
    if failed:
        raise typer.Exit(1)


def _wanted(given: "Sequence[str]") -> list[tuple[str, float]]:
    """Metric and least value of every `--at-least`.

    Raises:
        UsageError: there is no such metric, or the value is none from 0 to 1.
    """
    from rabtriever_core.evaluation.metrics import METRICS

    wanted = []
    for text in given:
        metric, _, value = text.partition("=")
        try:
            least = float(value)
        except ValueError:
            least = -1.0
        if metric not in METRICS or not 0 <= least <= 1:
            raise click.UsageError(
                f"--at-least {text!r}: expected METRIC=VALUE with one of {', '.join(METRICS)} and "
                "a value from 0 to 1, as in MRR@10=0.8"
            )
        wanted.append((metric, least))
    return wanted


def _shown(found: "Evaluated") -> str:
    from rabtriever_core.evaluation.metrics import METRICS
    from rabtriever_core.report.wording import comparison, percent

    plain = found.plain()
    asked = len(found.judged.queries)
    sampled = f"{asked} of {found.available}" if asked < found.available else str(asked)
    lines = [
        f"release {found.release}, {found.documents} documents; {found.split}, {sampled} queries",
        "",
        f"{'percent':<12}" + "".join(f"{metric:>19}" for metric in METRICS),
    ]
    for name, system in plain["systems"].items():
        cells = (_cell(system["metrics"][metric], percent) for metric in METRICS)
        lines.append(f"{_LABELS[name]:<12}" + "".join(f"{cell:>19}" for cell in cells))
    lines += ["", "intervals of the mean over queries, 95%"]
    for row in plain["comparisons"]:
        named = row | {side: _LABELS[row[side]] for side in ("a", "b")}
        lines.append(f"{row['metric']}: {comparison(named)}")
    if found.system == "two_stage":
        lines.append(f"the teacher put the first documents in order for {found.reranked} queries")
    lines += _missing(found, percent)
    return "\n".join(lines)


_LABELS = {
    "student": "Student",
    "hybrid": "Student + BM25",
    "two_stage": "Two stages",
    "bm25": "BM25",
    "run": "Run",
}


def _cell(metric: dict[str, float], percent: Any) -> str:
    low, high = percent(metric["low"]), percent(metric["high"])
    return f"{percent(metric['value'])} ({low}–{high})"


def _missing(found: "Evaluated", percent: Any) -> list[str]:
    """What the collection lacks of the right documents, and what rankings leave out."""
    gone, partly = len(found.unanswerable), len(found.missing) - len(found.unanswerable)
    lines = []
    if gone:
        rest = found.answerable(found.system)
        said = f"; MRR@10 of the others: {percent(rest['MRR@10'])}" if rest else ""
        lines.append(f"queries without a right document in the collection: {gone}, counted 0{said}")
    if found.left_out:
        lines.append(
            "queries whose own document, as in BEIR, or excluded_ids are left out of the ranking: "
            f"{len(found.left_out)}"
        )
    if found.unranked:
        lines.append(f"queries of which the run ranks nothing: {found.unranked}, counted 0 for it")
    if partly:
        lines.append(f"queries of which some right documents are not in the collection: {partly}")
    return lines
