"""`rabtriever serve`, `mcp` and `keys`: what answers others, and who may ask it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rabtriever_core.cli.application import ASK, app, examples
from rabtriever_core.cli.completion import key_names
from rabtriever_core.cli.options import JsonOption, UrlOption, WorkspaceOption, print_json

if TYPE_CHECKING:
    from rabtriever_core.serving.keys import ApiKey

keys_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="API keys of the query service."
)
app.add_typer(keys_app, name="keys", rich_help_panel=ASK)


@app.command(
    rich_help_panel=ASK,
    epilog=examples(
        "rabtriever serve -w work",
        "curl -s localhost:8000/v1/search -H 'content-type: application/json' "
        """-d '{"query": "I snapped at my sister.", "k": 3}'""",
        "rabtriever keys create search-page && rabtriever serve --host 0.0.0.0",
    ),
)
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
    without_keys: Annotated[
        bool,
        typer.Option("--without-keys", help="Let everyone ask who reaches an outer address."),
    ] = False,
    tls_certificate: Annotated[
        Path | None, typer.Option(help="PEM file; with it HTTPS is spoken.", show_default=False)
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(help="PEM file of its key.", show_default=False)
    ] = None,
    root_path: Annotated[
        str,
        typer.Option(metavar="/PATH", help="Where a proxy shows the service.", show_default="/"),
    ] = "",
    text_log: Annotated[
        bool, typer.Option("--text-log", help="Lines for people, instead of JSON.")
    ] = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Answer queries over HTTP from the served release, also after the next promotion.

    A search page at /, POST /v1/search, /v1/search/batch, /v1/rerank, /v1/embed, /v1/compare and
    /v1/feedback, GET /v1/release, /v1/releases, /healthz, /readyz and /metrics; documentation at
    /docs. Once there is an API key (`rabtriever keys create`), every request needs one. Limits are
    in params.yaml (`serving`).
    """
    from rabtriever_core.serving.server import Listening
    from rabtriever_core.serving.server import serve as serve_workspace
    from rabtriever_core.workspace import Workspace

    serve_workspace(
        Workspace.open(workspace),
        Listening(host, port, tls_certificate, tls_key, _prefix(root_path)),
        without_keys=without_keys,
        text_log=text_log,
    )


@app.command(rich_help_panel=ASK, epilog=examples("rabtriever mcp --url http://localhost:8000"))
def mcp(url: UrlOption = None, workspace: WorkspaceOption = Path()) -> None:
    """Speak the Model Context Protocol: agents start this, and search the served release.

    It takes standard input and output; what it logs goes to stderr.
    """
    from rabtriever_core.integrations.mcp import run

    run(workspace, url)


def _prefix(given: str) -> str:
    """`/search` of `search/`; nothing of `/`."""
    path = given.strip("/")
    return f"/{path}" if path else ""


@keys_app.command("create", epilog=examples("rabtriever keys create mobile-app"))
def create_key(
    name: Annotated[str, typer.Argument()],
    as_json: JsonOption = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Print a new key, which is stored nowhere, for NAME, whoever will use it."""
    from rabtriever_core.serving.keys import ApiKeys
    from rabtriever_core.workspace import Workspace

    key = ApiKeys(Workspace.open(workspace)).create(name)
    if as_json:
        print_json({"name": name, "key": key})
        return
    typer.echo(key)


@keys_app.command("list")
def list_keys(as_json: JsonOption = False, workspace: WorkspaceOption = Path()) -> None:
    """Names of all keys there ever were, without the keys."""
    from rabtriever_core.serving.keys import ApiKeys
    from rabtriever_core.workspace import Workspace

    keys = ApiKeys(Workspace.open(workspace)).all()
    if as_json:
        print_json([_plain(key) for key in keys])
        return
    for key in keys:
        state = "in use" if key.revoked is None else f"revoked {key.revoked:%Y-%m-%d %H:%M}"
        typer.echo(f"{key.id}  {key.created:%Y-%m-%d %H:%M}  {state:<24}  {key.name}")


@keys_app.command("revoke", epilog=examples("rabtriever keys revoke mobile-app"))
def revoke_key(
    which: Annotated[str, typer.Argument(autocompletion=key_names)],
    as_json: JsonOption = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Refuse a key, WHICH is its id or its name, from now on, also in a running service."""
    from rabtriever_core.serving.keys import ApiKeys
    from rabtriever_core.workspace import Workspace

    key = ApiKeys(Workspace.open(workspace)).revoke(which)
    if as_json:
        print_json(_plain(key))
        return
    typer.echo(f"revoked: {key.id} {key.name}")


def _plain(key: "ApiKey") -> dict[str, Any]:
    return key.model_dump(mode="json", exclude={"sha256"})
