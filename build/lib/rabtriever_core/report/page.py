"""Self-contained HTML pages from the templates in this folder."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rabtriever_core.report import wording

if TYPE_CHECKING:
    from jinja2 import Environment


def page_environment(filters: Mapping[str, Callable[..., object]] | None = None) -> "Environment":
    """Where templates are rendered: everything is escaped, an unknown name is an error.

    Documents and queries are untrusted text.

    Args:
        filters: those of one page, beside the ones that all have.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": wording.percent,
        "is_clear": wording.is_clear,
        "spaced": lambda name: name.replace("_", " "),
        **(filters or {}),
    }
    return environment
