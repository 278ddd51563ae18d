"""`rabtriever serve`: the query service."""

from pathlib import Path
from typing import Annotated

import typer

from rabtriever_core.cli import WorkspaceOption, _examples, app


@app.command(
    epilog=_examples(
        "rabtriever serve -w work",
        "curl -s localhost:8000/v1/search -H 'content-type: application/json' "
        """-d '{"query": "I snapped at my sister.", "k": 3}'""",
    )
)
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Answer queries over HTTP from the served release, also after the next promotion.

    POST /v1/search, GET /v1/release, /healthz, /readyz; documentation at /docs. There is no
    authentication: keep it on loopback or behind a proxy.
    """
    from rabtriever_core.serving.server import serve as serve_workspace
    from rabtriever_core.workspace import Workspace

    serve_workspace(Workspace.open(workspace), host, port)
