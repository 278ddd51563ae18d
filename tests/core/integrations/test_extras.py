"""A library that is not installed is named by its extra; what all integrations say of a hit."""

import importlib
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from rabtriever_core.errors import ConfigError
from rabtriever_core.integrations.hits import TOLD, metadata, wanted
from rabtriever_core.serving.any_retriever import AnyRetriever

ROOT = Path(__file__).parents[3]
MODULES = {
    "langchain": ("langchain_core", "langchain"),
    "llama_index": ("llama_index", "llama-index"),
    "haystack": ("haystack", "haystack"),
    "sentence_transformers": ("sentence_transformers", "sentence-transformers"),
    "mteb": ("mteb", "mteb"),
    "mteb_teacher": ("mteb", "mteb"),
    "mcp": ("mcp", "mcp"),
}


@pytest.mark.parametrize("module", MODULES)
def test_a_missing_library_is_named_by_its_extra(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, extra = MODULES[module]
    for name in [library, *sys.modules]:
        if name == library or name.startswith(f"{library}."):
            monkeypatch.setitem(sys.modules, name, None)
    ours = f"rabtriever_core.integrations.{module}"
    monkeypatch.delitem(sys.modules, ours, raising=False)
    with pytest.raises(ConfigError, match=rf"rabtriever\[{extra}\]"):
        importlib.import_module(ours)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert extra in project["optional-dependencies"]


def test_a_documents_own_fields_give_way(retriever: AnyRetriever) -> None:
    answer = retriever.search("He lied again", 1)
    hit = replace(answer[0], metadata={"title": "its own", "lang": "de"}, teacher_margin=1.5)
    told = metadata(hit, answer)
    assert (told["title"], told["lang"]) == (hit.title, "de")
    assert set(told) == {*TOLD, "lang"}


def test_without_a_threshold_nothing_is_left_out(retriever: AnyRetriever) -> None:
    answer = retriever.search("He lied again", 1)
    plain = replace(answer[0], fits=None)
    assert wanted(replace(answer, hits=[plain]), only_fitting=True) == [plain]
