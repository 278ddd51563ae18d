"""`rabtriever query`: questions to the served release."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from rabtriever_core.cli import WorkspaceOption, _examples, app
from rabtriever_core.cli.answers import hit_table, verdict_line


@app.command(
    epilog=_examples(
        'rabtriever query "I snapped at my kids again." -k 3',
        'rabtriever query "What is the capital of France?" --min-probability 0.5',
    )
)
def query(
    text: Annotated[str, typer.Argument()],
    k: Annotated[int, typer.Option("-k", min=1, help="Documents to show.")] = 5,
    min_probability: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Least calibrated probability of an answer.", show_default="fitted"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Ask the served release: the documents that answer TEXT best.

    Probabilities are calibrated on the dev split, and so is the least one of an answer.
    """
    from rabtriever_core.serving.retriever import Retriever

    with Retriever.open(workspace) as retriever:
        answer = retriever.search(text, k, min_probability=min_probability)
    hits = answer.hits
    if as_json:
        typer.echo(json.dumps([asdict(hit) for hit in hits], ensure_ascii=False, indent=2))
        return
    typer.echo(hit_table(hits))
    typer.echo("\n" + verdict_line(hits, answer.calibration, min_probability))
