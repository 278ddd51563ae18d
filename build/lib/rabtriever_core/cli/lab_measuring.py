"""`rabtriever lab`: measurements of vectors, cache and throughput; pre-training on plain text."""

import json
from pathlib import Path
from typing import Annotated

import typer

from rabtriever_core.cli import completion
from rabtriever_core.cli.application import examples
from rabtriever_core.cli.lab import lab_app
from rabtriever_core.cli.options import (
    JsonOption,
    OverridesOption,
    ParamsOption,
    WorkspaceOption,
    print_json,
    print_written,
)


@lab_app.command(
    epilog=examples(
        "rabtriever lab pretrain novels.txt.xz textbooks.txt.xz --out backbone",
        "rabtriever lab pretrain texts.txt --set backbone.tiny.hidden_size=640 --out backbone",
    ),
)
def pretrain(
    texts: Annotated[list[Path], typer.Argument(help="UTF-8 text, or such compressed by xz.")],
    out: Annotated[Path, typer.Option(help="The model folder.")] = Path("backbone"),
    params: ParamsOption = None,
    overrides: OverridesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a small backbone from scratch on plain text, for any data set.

    Its shape is backbone.tiny, how long it trains backbone.warmup, where runtime. A workspace takes
    it with backbone.model=FOLDER, and trains all its weights with backbone.lora=null. Killed
    training resumes.
    """
    import shutil

    from rabtriever_core.config import load_settings
    from rabtriever_core.lab.pretraining import RECORD
    from rabtriever_core.lab.pretraining import pretrain as train_on_text

    settings = load_settings(params, tuple(overrides or ()))
    checkpoints = out.with_name(f".{out.name}-checkpoints")
    made = train_on_text(texts, settings, out, checkpoints)
    shutil.rmtree(checkpoints)
    if as_json:
        print_json(json.loads((out / RECORD).read_text(encoding="utf-8")))
        return
    typer.echo(
        f"backbone: {out} ({made.parameters / 1e6:.1f} M parameters, {made.steps:,} steps, "
        f"loss {made.final_loss:.2f})"
    )


@lab_app.command(
    "measure-throughput",
    epilog=examples(
        "rabtriever lab measure-throughput --set runtime.precision=bfloat16",
        "rabtriever lab measure-throughput --params qwen3-shape.yaml --name 'Qwen3-0.6B shapes'",
    ),
)
def measure_throughput(
    name: Annotated[str, typer.Option(help="What the backbone is called.")] = "tiny backbone",
    document_tokens: Annotated[int, typer.Option(min=2, help="Length of a document.")] = 128,
    query_tokens: Annotated[int, typer.Option(min=1, help="Length of a query.")] = 32,
    documents: Annotated[int, typer.Option(min=1, help="Documents of a batch.")] = 32,
    queries: Annotated[int, typer.Option(min=1, help="Queries a document is read with.")] = 8,
    seconds: Annotated[float, typer.Option(min=0.1, help="Time per measurement.")] = 5.0,
    params: ParamsOption = None,
    overrides: OverridesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Time embedding, scoring and training of backbone.tiny's shape, with random weights.

    Tokens per second, and the share of the fastest matrix product that the same device does;
    writes measurements/throughput.json.
    """
    from rabtriever_core.config import load_settings
    from rabtriever_core.lab.measurements.throughput import Workload, measure_shape, summary

    settings = load_settings(params, tuple(overrides or ()))
    workload = Workload(document_tokens, query_tokens, documents, queries, seconds)
    path = measure_shape(settings, name, workload, Path("measurements"))
    print_written(path, summary, as_json=as_json)


@lab_app.command(
    "measure-vectors",
    epilog=examples("rabtriever lab measure-vectors -w work --split dev"),
)
def measure_vectors(
    split: Annotated[
        str,
        typer.Option(
            help="Whose queries; choices belong on dev.", autocompletion=completion.splits
        ),
    ] = "dev",
    queries: Annotated[int, typer.Option(min=1, help="Queries at most.")] = 500,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Measure gauges and quantization on Qdrant's engine: recall@10, bytes, time.

    Reads the student and its document embeddings; writes measurements/vectors.json, .md, .html
    and .png.
    """
    from rabtriever_core.lab.measurements.vectors import measure_workspace
    from rabtriever_core.lab.measurements.vectors_report import markdown, write_vectors_report
    from rabtriever_core.workspace import Workspace

    opened = Workspace.open(workspace)
    measured = measure_workspace(opened, split, queries)
    page = write_vectors_report(measured, opened.measurements)
    if as_json:
        print_json(measured)
        return
    typer.echo(markdown(measured))
    typer.echo(f"\nfull report: {page}")


@lab_app.command(
    "measure-cache",
    epilog=examples("rabtriever lab measure-cache -w work --queries 64"),
)
def measure_cache(
    document_tokens: Annotated[int, typer.Option(min=1, help="Length of the document.")] = 512,
    queries: Annotated[int, typer.Option(min=1, help="How many it is scored with.")] = 32,
    query_tokens: Annotated[int, typer.Option(min=1, help="Length of a query at most.")] = 16,
    repeats: Annotated[int, typer.Option(min=1, help="Rounds that are timed.")] = 7,
    as_json: JsonOption = False,
    workspace: Annotated[
        Path | None,
        # Not from the environment: without a workspace it measures something else.
        typer.Option("--workspace", "-w", help="Whose teacher.", show_default="a tiny, new one"),
    ] = None,
) -> None:
    """Time teacher margins with a document's keys and values shared by queries, and without.

    Fails where the margins differ; writes measurements/prefix_cache.json.
    """
    from rabtriever_core.lab.measurements.prefix_cache import Reading, measure_prefix_cache, summary
    from rabtriever_core.workspace import Workspace

    opened = None if workspace is None else Workspace.open(workspace)
    path = measure_prefix_cache(
        opened,
        Reading(document_tokens, queries, query_tokens, repeats),
        Path("measurements") if opened is None else opened.measurements,
    )
    print_written(path, summary, as_json=as_json)
