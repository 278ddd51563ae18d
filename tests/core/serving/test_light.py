"""What each size of the package can do without the libraries of the larger ones."""

import subprocess
import sys
from pathlib import Path

import pytest

from rabtriever_core.releases.promotion import promote
from rabtriever_core.serving.app import create_app
from tests.core.releases.conftest import Make
from tests.core.serving.listening import listening

ROOT = Path(__file__).parents[3]
WITHOUT = {
    "base": [
        *("numpy", "scipy", "pandas", "torch", "transformers", "tokenizers", "onnxruntime"),
        *("qdrant_client", "dagster", "dvc", "great_expectations", "fastapi", "filelock"),
        *("safetensors", "regex", "bm25s", "Stemmer", "croniter", "requests", "jinja2", "ruamel"),
    ],
}
"""Size → what may not be imported. `local` has its row here, and what opens a script below."""
REFUSE = """
import sys

class Refuses:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in set({refused}):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Refuses())
"""
CONNECT = """
import asyncio
from rabtriever_core import Answer, Query, Retriever
from rabtriever_core.errors import FilterError
with Retriever.connect({url!r}) as retriever:
    answer = retriever.search("tell 7", 3, filter={{"$not": {{"document_id": "d1"}}}})
    assert isinstance(answer, Answer), answer
    assert asyncio.run(retriever.asearch("tell 7", 3)).release == retriever.release
    assert retriever.answer([Query("tell 8", 1)])[0][0].document_id == "d8"
    retriever.embed(["tell 7"])
    answer.calibration.threshold
    try:
        retriever.search("tell 7", filter={{"a b": 1}})
    except FilterError:
        print([hit.document_id for hit in answer][0], "rabtriever_core.config" in sys.modules)
"""


def python(script: str, size: str) -> "subprocess.CompletedProcess[str]":
    """A script where imports of what a size does not have are refused."""
    return subprocess.run(
        [sys.executable, "-c", REFUSE.format(refused=WITHOUT[size]) + script],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def url(make: Make) -> str:
    workspace = make()
    promote(workspace, by="ana")
    with listening(create_app(workspace)) as address:
        yield address


def test_a_client_of_the_service_takes_the_base_alone(url: str) -> None:
    finished = python(CONNECT.format(url=url), "base")
    # The settings would take as long to load as all the rest.
    assert finished.stdout.split() == ["d7", "False"], finished.stderr


def test_the_command_asks_a_service_with_the_base_alone(url: str) -> None:
    words = ["query", "tell 7", "--url", url, "--json"]
    finished = python(
        f"from rabtriever_core.cli import app; app({[*words, '--min-probability', '0']})", "base"
    )
    assert finished.returncode == 0, finished.stderr
    assert '"document_id": "d7"' in finished.stdout


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        (["--help"], None),
        (["lab", "--help"], None),
        (["init", "work"], "pipeline"),
        (["report"], "pipeline"),
        (["releases", "list"], "pipeline"),
        (["explain", "query", "d1"], "local"),
        (["serve"], "serve"),
    ],
)
def test_what_is_missing_is_named_by_its_extra(
    command: list[str], extra: str | None, tmp_path: Path
) -> None:
    (tmp_path / "params.yaml").write_text("{}")
    finished = python(
        f"import os; os.chdir({str(tmp_path)!r})\n"
        f"from rabtriever_core.cli import app; app({command})",
        "base",
    )
    assert finished.returncode == (2 if extra else 0), finished.stderr
    assert "Traceback" not in finished.stderr
    if extra:
        assert f"pip install 'rabtriever[{extra}]'" in finished.stderr
