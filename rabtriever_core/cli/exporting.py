"""`rabtriever export-onnx`: the query tower for programs without torch."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from rabtriever_core.cli.application import ASK, app, examples
from rabtriever_core.cli.completion import release_ids
from rabtriever_core.cli.options import JsonOption, WorkspaceOption, print_json


@app.command(
    "export-onnx",
    rich_help_panel=ASK,
    epilog=examples(
        "rabtriever export-onnx query-tower",
        "rabtriever export-onnx tower-7 -r 7 --precision int8",
    ),
)
def export_onnx(
    folder: Annotated[Path, typer.Argument()],
    release: Annotated[
        str | None,
        typer.Option("--release", "-r", autocompletion=release_ids, show_default="the served one"),
    ] = None,
    precision: Annotated[
        Literal["float32", "int8"],
        typer.Option(help="Of the weights; int8 is smaller and faster, and ranks almost alike."),
    ] = "float32",
    as_json: JsonOption = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Write the query tower of a release as ONNX into FOLDER, replacing an export there.

    Refused where a margin differs from torch's by more than 1e-3, or in int8 where fewer than 0.9
    of the ten best documents are torch's. The extra `onnx` has what it takes; to read it,
    onnxruntime and tokenizers are enough.
    """
    from rabtriever_core.integrations.onnx_export import export_query_tower
    from rabtriever_core.releases.record import find_release, read_releases
    from rabtriever_core.workspace import Workspace

    opened = Workspace.open(workspace)
    wanted = None if release is None else find_release(read_releases(opened), release)
    info = export_query_tower(opened, folder, release=wanted, precision=precision)
    if as_json:
        print_json(info.model_dump(mode="json"))
        return
    typer.echo(
        f"{folder}: release {info.release}, for collection {info.collection}; margins differ from "
        f"torch's by {info.parity.max_error:.1e} at most, and {info.parity.top10_agreement:.3f} of "
        "its ten best documents are the same"
    )
