"""`rabtriever lab`: smaller models. Which layers matter, and what a query tower's forms cost."""

from pathlib import Path
from typing import Annotated

import typer

from rabtriever_core.cli.application import examples
from rabtriever_core.cli.lab import lab_app
from rabtriever_core.cli.options import JsonOption, OverridesOption, ParamsOption, print_written


@lab_app.command(
    "layer-importance",
    epilog=examples(
        "rabtriever lab layer-importance smollm2 --data work -n 4",
        "rabtriever lab layer-importance minilm --encoder --data work -n 3",
    ),
)
def layer_importance(
    model: Annotated[str, typer.Argument(help="As backbone.model has it.")],
    data: Annotated[
        Path, typer.Option(help="A BEIR folder, or a workspace, whose settings are used.")
    ],
    keep: Annotated[int, typer.Option("--keep", "-n", min=1, help="Layers to choose.")],
    encoder: Annotated[
        bool, typer.Option("--encoder", help="MODEL is an encoder, as bi_encoder.encoder has it.")
    ] = False,
    queries: Annotated[int, typer.Option(min=1, help="Training queries to read.")] = 256,
    params: ParamsOption = None,
    overrides: OverridesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure how much each layer of a pretrained model does on your texts; choose the most.

    A layer's influence is 1 − cos(state before it, state after it), the mean over tokens of
    training queries with their documents. Prints it, and the list for backbone.layers; writes
    measurements/layer_importance.json.
    """
    import tempfile

    from rabtriever_core.config.params_file import default_settings
    from rabtriever_core.lab.ablation.sources import open_source
    from rabtriever_core.lab.measurements.layer_importance import Model, measure_layers, summary

    with tempfile.TemporaryDirectory() as scratch:
        source = open_source(data, Path(scratch), params)
        settings = source.settings(default_settings().runtime.seed, tuple(overrides or ()))
    measured = Model(model, encoder)
    path = measure_layers(measured, source, settings, keep, queries, Path("measurements"))
    print_written(path, summary, as_json=as_json)


@lab_app.command(
    "measure-towers",
    epilog=examples(
        "rabtriever lab measure-towers work",
        "rabtriever lab measure-towers work work-3-layers --threads 2",
    ),
)
def measure_towers(
    workspaces: Annotated[
        list[Path], typer.Argument(help="Finished ones, on one data set.", show_default=False)
    ],
    threads: Annotated[int, typer.Option(min=1, help="To compute with.")] = 2,
    as_json: JsonOption = False,
) -> None:
    """Time a query in torch and by ONNX Runtime, float32 and int8, and measure MRR@10 of each.

    The share kept is of the first workspace's torch tower. Writes measurements/query_towers.json
    and .png, the curve, there. Needs the extra `onnx`.
    """
    from rabtriever_core.lab.measurements.query_towers import measure_towers as measure
    from rabtriever_core.lab.measurements.query_towers_report import summary
    from rabtriever_core.workspace import Workspace

    path = measure([Workspace.open(folder) for folder in workspaces], threads)
    print_written(path, summary, as_json=as_json)
