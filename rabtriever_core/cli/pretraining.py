"""Commands for backbones of one's own: pre-training on plain text, throughput of a shape."""

import json
from pathlib import Path
from typing import Annotated

import typer

from rabtriever_core.cli.application import MAKE, MEASURE, app, examples
from rabtriever_core.cli.options import JsonOption, OverridesOption, ParamsOption, print_json


@app.command(
    rich_help_panel=MAKE,
    epilog=examples(
        "rabtriever pretrain novels.txt.xz textbooks.txt.xz --out backbone",
        "rabtriever pretrain texts.txt --set backbone.tiny.hidden_size=640 --out backbone",
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


@app.command(
    "measure-throughput",
    rich_help_panel=MEASURE,
    epilog=examples(
        "rabtriever measure-throughput --set runtime.precision=bfloat16",
        "rabtriever measure-throughput --params qwen3-shape.yaml --name 'Qwen3-0.6B shapes'",
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
    if as_json:
        print_json(json.loads(path.read_text(encoding="utf-8")))
        return
    typer.echo(f"{summary(path)}\n\nwritten: {path}")
