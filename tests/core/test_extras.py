"""Every library that the package imports is brought by the base or by an extra that is named."""

import re
import sys
import tomllib

import pytest

from rabtriever_core.extras import _DISTRIBUTIONS, _normal, extra_of
from tests.core.test_imports import CORE, ROOT, imports

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BASE = {_normal(re.split(r"[<>=~\[;]", each)[0]) for each in PROJECT["dependencies"]}
BROUGHT = {
    "annotated_types": "pydantic",
    "pydantic_core": "pydantic",
    "urllib3": "qdrant_client",
    "antlr4": "dagster",
    "huggingface_hub": "tokenizers",
    "starlette": "fastapi",
    "langchain_core": "langchain-core",
    "yaml": "pyyaml",
    "datasets": "mteb",
}
"""Modules of what a requirement brings, or of another name."""

OWN = {"wandb"}
"""What whoever names it in `runtime.report_to` installs."""


def foreign() -> set[str]:
    """Top-level modules of others that the library imports anywhere."""
    found = {i.imported.partition(".")[0] for i in imports() if not i.typing_only}
    return found - {CORE, *OWN} - set(sys.stdlib_module_names)


@pytest.mark.parametrize("module", sorted(foreign()))
def test_it_is_in_the_base_or_in_an_extra(module: str) -> None:
    name = BROUGHT.get(module, module)
    if _normal(name) in BASE:
        return
    extra = extra_of(ModuleNotFoundError(f"No module named {module!r}", name=f"{name}.inner"))
    assert extra in PROJECT["optional-dependencies"], (module, extra)


def test_the_smallest_extra_is_named() -> None:
    for module, extra in {
        "numpy": "local", "torch": "models", "dagster": "pipeline", "fastapi": "serve",
        "langchain_core": "langchain", "ruamel.yaml": "pipeline", "Stemmer": "local",
    }.items():  # fmt: skip
        assert extra_of(ModuleNotFoundError(name=module)) == extra
    assert extra_of(ModuleNotFoundError(name="no_such_library")) is None
    assert extra_of(ModuleNotFoundError(name="rabtriever_core.none")) is None
    assert extra_of(ValueError("numpy")) is None


def test_names_that_differ_are_needed() -> None:
    assert set(_DISTRIBUTIONS) <= foreign() | {"ruamel"}
