"""Taking a release away: `rabtriever export-onnx` and `rabtriever releases export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rabtriever_core.cli.application import ASK, app, examples
from rabtriever_core.cli.completion import release_ids
from rabtriever_core.cli.options import JsonOption, WorkspaceOption, print_json
from rabtriever_core.cli.releases import releases_app

if TYPE_CHECKING:
    from rabtriever_core.releases.record import Release
    from rabtriever_core.workspace import Workspace


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

    opened, wanted = _of(workspace, release)
    info = export_query_tower(opened, folder, release=wanted, precision=precision)
    if as_json:
        print_json(info.model_dump(mode="json"))
        return
    typer.echo(
        f"{folder}: release {info.release}, for collection {info.collection}; margins differ from "
        f"torch's by {info.parity.max_error:.1e} at most, and {info.parity.top10_agreement:.3f} of "
        "its ten best documents are the same"
    )


@releases_app.command(
    epilog=examples(
        "rabtriever releases export --to my-models",
        "rabtriever releases export 7 --to my-student --only student --push my-team/support",
    )
)
def export(
    release: Annotated[
        str | None, typer.Argument(show_default="the served one", autocompletion=release_ids)
    ] = None,
    *,
    to: Annotated[Path, typer.Option("--to", help="The folder; an export there is replaced.")],
    only: Annotated[
        Literal["student", "teacher", "teacher-model", "teacher-adapter"] | None,
        typer.Option(help="One of its parts.", show_default="all"),
    ] = None,
    push: Annotated[
        str | None,
        typer.Option(
            metavar="OWNER/NAME",
            help="Upload each part to OWNER/NAME-PART on the Hugging Face hub, private if new.",
        ),
    ] = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Write the models of RELEASE for sentence-transformers and transformers, with model cards.

    The folder holds `student` (a SentenceTransformer), `teacher` (a CrossEncoder), `teacher-model`
    (its language model) and, where adapters were trained, `teacher-adapter`. What would compute
    other margins is refused, and said. The extra `sentence-transformers` has what it takes.
    """
    from rabtriever_core.integrations.export_push import check_hub_id, push_export
    from rabtriever_core.integrations.export_release import PARTS, export_release

    if push is not None:
        check_hub_id(push, PARTS)
    opened, wanted = _of(workspace, release)
    info = export_release(opened, to, release=wanted, only=only, hub_id=push)
    pushed: list[str] = []
    if push is not None:
        pushed = push_export(to, info.written, push, f"Release {info.release}")
    if as_json:
        print_json(info.model_dump(mode="json") | {"pushed": pushed})
        return
    for part, outcome in info.parts.items():
        if outcome.refused is not None:
            typer.echo(f"no {part}: {outcome.refused}")
        elif outcome.parity is None:
            typer.echo(f"{to / part}: of release {info.release}")
        else:
            typer.echo(
                f"{to / part}: of release {info.release}; margins differ by "
                f"{outcome.parity.max_error:.1e} at most"
            )
    for address in pushed:
        typer.echo(f"pushed: {address}")


def _of(workspace: Path, release: str | None) -> "tuple[Workspace, Release | None]":
    from rabtriever_core.releases.record import find_release, read_releases
    from rabtriever_core.workspace import Workspace

    opened = Workspace.open(workspace)
    return opened, None if release is None else find_release(read_releases(opened), release)
