"""What is printed about querying, run as it stands on a release of the demo data set.

The models are real and untrained: what is asked for is the right kind of answer, not a good one.
"""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rabtriever_core.cli import app
from rabtriever_core.data.dataset import read_dataset
from rabtriever_core.data.demo import write_demo
from rabtriever_core.releases import store
from rabtriever_core.workspace import VARIABLE
from tests.core.integrations.released import release_small
from tests.core.releases.conftest import quick_dvc
from tests.documentation.blocks import DOCS, ROOT, Block, blocks
from tests.documentation.service import started
from tests.faults.injection import free_port

PAGE = DOCS / "how-to" / "querying.md"
PORT = 8000
"""What the page says."""


def of(language: str, section: str, page: Path = PAGE) -> list[Block]:
    found = [b for b in blocks(page) if b.language == language and b.section == section]
    assert found, f"no {language} under {section}"
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace that serves a release of the demo data set."""
    root = tmp_path_factory.mktemp("documentation")
    write_demo(root / "demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "run_dvc", quick_dvc)
        return release_small(root / "work", read_dataset(root / "demo", "demo")).root


@pytest.fixture(scope="module")
def environment(folder: Path) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, VARIABLE: str(folder), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def port(folder: Path, environment: dict[str, str]) -> Iterator[int]:
    """The service as the page starts it, on another port; it is ready."""
    (start, *_) = of("bash", "Over HTTP")
    assert start.text == "rabtriever serve &\n"
    port = free_port()
    with started(["rabtriever", "serve", "--port", str(port)], port, folder, environment):
        yield port


def shell(script: str, folder: Path, environment: dict[str, str], code: int = 0) -> str:
    finished = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", script],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert finished.returncode == code, (script, finished.stdout, finished.stderr)
    return finished.stdout


def python(script: str, folder: Path, environment: dict[str, str]) -> str:
    finished = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, (script, finished.stderr)
    return finished.stdout


@pytest.mark.parametrize("how", ["open()", "connect({!r})"])
def test_python(how: str, port: int, folder: Path, environment: dict[str, str]) -> None:
    """The same lines, from the release itself and from a service."""
    script = "".join(block.text for block in of("python", "Python"))
    assert script.count("= Retriever.open()") == 1
    asks = f"= Retriever.{how.format(f'http://localhost:{port}')}"
    said = python(script.replace("= Retriever.open()", asks), folder, environment)
    *hits, options = said.splitlines()
    assert len(hits) == 3
    assert 0 <= float(hits[0].split()[0]) <= 1
    assert options.startswith("0001-")
    assert options.endswith(" False []")  # nothing of the demo has metadata


def test_connect(port: int, folder: Path, environment: dict[str, str]) -> None:
    (block,) = of("python", "Open a release, or connect to a service")
    assert f"localhost:{PORT}" in block.text
    said = python(block.text.replace(f":{PORT}", f":{port}"), folder, environment)
    assert said.startswith("0001-") and said.count("'") == 6


def test_curl(port: int, folder: Path, environment: dict[str, str]) -> None:
    block = of("bash", "Over HTTP")[1]
    requests = [text for text in block.text.split("\n\n") if text.startswith("curl")]
    answers: list[Any] = []
    for request in requests[:3]:
        said = shell(request.replace(f":{PORT}", f":{port}"), folder, environment)
        answers.append(json.loads(said))
    search, batch, rerank = answers
    assert len(search["hits"]) == 3
    assert [len(answer["hits"]) for answer in batch["answers"]] == [2, 2]
    assert {result["document_id"] for result in rerank["results"]} == {"a", "b"}
    release, metrics = (line for line in requests[3].splitlines() if line)
    said = shell(release.replace(f":{PORT}", f":{port}"), folder, environment)
    assert json.loads(said)["id"] == search["release"]
    # head leaves before curl is done.
    said = shell(f"set +o pipefail; {metrics.replace(f':{PORT}', f':{port}')}", folder, environment)
    assert "rabtriever_requests" in said


def test_another_client(port: int, folder: Path, environment: dict[str, str]) -> None:
    (block,) = of("python", "From any language")
    said = python(block.text.replace(f":{PORT}", f":{port}"), folder, environment)
    question = "I snapped at my sister and I'm so ashamed. Don't give me advice, just hear me out."
    expected = python(
        "from rabtriever_core import Retriever\n"
        f"for hit in Retriever.open().search({question!r}, 3):\n"
        "    print(f'{hit.margin:.2f}  {hit.document_id}')",
        folder,
        environment,
    )
    assert said == expected


def test_keys(folder: Path, environment: dict[str, str]) -> None:
    (block,) = of("bash", "API keys")
    said = shell(block.text, folder, environment)
    key, listed, revoked = said.splitlines()
    assert key.startswith("rbt_")
    assert "my-app" in listed and key not in listed
    assert revoked.startswith("revoked")
    (folder / "api_keys.json").unlink()


@pytest.mark.slow
def test_command_line(folder: Path, environment: dict[str, str]) -> None:
    """1 is what the page says of queries that nothing fits, and of figures not reached."""
    (block,) = of("bash", "Command line")
    for line in block.text.splitlines():
        finished = subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            cwd=folder, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert finished.returncode in (0, 1), (line, finished.stderr)
        assert finished.stdout, line
        assert "error" not in finished.stderr.lower(), (line, finished.stderr)


def answered(line: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a printed `rabtriever …` prints, in this process, which has all it needs loaded."""
    monkeypatch.setenv(VARIABLE, str(folder))
    program, *words = shlex.split(line.partition("||")[0])
    assert program == "rabtriever"
    finished = CliRunner().invoke(app, words)
    assert finished.exit_code in (0, 1), finished.output
    return finished.stdout.splitlines()


def test_the_readme(
    port: int, folder: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    readme = ROOT / "README.md"
    (script,) = of("python", "Ask it", readme)
    asked, curl = of("bash", "Ask it", readme)
    (printed,) = of("text", "Ask it", readme)
    _, query = asked.text.splitlines()
    assert answered(query, folder, monkeypatch)[0] == printed.text.splitlines()[0]
    connects = f"Retriever.connect('http://localhost:{port}')"
    for text in (script.text, script.text.replace("Retriever.open()", connects)):
        assert len(python(text, folder, environment).splitlines()) == 3
    said = shell(curl.text.replace(f":{PORT}", f":{port}"), folder, environment)
    assert len(json.loads(said)["hits"]) == 3


def test_the_quickstart(
    port: int, folder: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answers are those of the trained demo; what is held here is what surrounds them."""
    page = DOCS / "quickstart.md"
    lines = [block.text.splitlines()[-1] for block in of("bash", "Ask", page)]
    printed = [block.text.splitlines() for block in of("text", "Ask", page)]
    for line, shown in zip(lines[:2], printed[:2], strict=True):
        assert answered(line, folder, monkeypatch)[0] == shown[0]
    said = answered(lines[2], folder, monkeypatch)
    assert len(said) == len(printed[2])
    for start in ("document support-004, release ", "student's best: ", "document: "):
        assert sum(line.startswith(start) for line in said) == 1
        assert sum(line.startswith(start) for line in printed[2]) == 1
    (curl,) = [block for block in of("bash", "Serve", page) if block.text.startswith("curl")]
    answer = shell(curl.text.replace(f":{PORT}", f":{port}"), folder, environment)
    assert len(json.loads(answer)["hits"]) == 1
