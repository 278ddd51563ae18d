"""The guide from a table to answers, run as printed: a CSV, a data set, a release, an answer."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.core.data.importers.support import write_csv
from tests.documentation.blocks import DOCS, Block, blocks
from tests.documentation.service import started
from tests.faults.injection import free_port

PAGE = DOCS / "how-to" / "import.md"


def walk(language: str) -> list[Block]:
    return [b for b in blocks(PAGE) if b.language == language and "table of" in b.section]


@pytest.fixture
def environment() -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"}


def shell(script: str, folder: Path, environment: dict[str, str]) -> str:
    finished = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", script],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, (script, finished.stdout, finished.stderr)
    return finished.stdout


def test_the_table_is_imported_as_printed(tmp_path: Path, environment: dict[str, str]) -> None:
    write_csv(tmp_path / "questions.csv")
    table, printed, *_ = walk("text")
    rows = (tmp_path / "questions.csv").read_text(encoding="utf-8").splitlines()
    for shown, row in zip(table.text.splitlines(), rows, strict=False):
        start, _, end = shown.partition(" …")
        assert row.startswith(start) and row.endswith(end)
    assert shell(walk("bash")[0].text, tmp_path, environment) == printed.text


@pytest.mark.slow
def test_from_the_table_to_a_served_answer(tmp_path: Path, environment: dict[str, str]) -> None:
    write_csv(tmp_path / "questions.csv")
    imported, made, asked, served, curl = (block.text for block in walk("bash"))
    shell(imported + made, tmp_path, environment)
    said = shell(asked, tmp_path, environment).splitlines()
    shown = walk("text")[2].text.splitlines()
    assert said[0] == shown[0]
    assert "Report theft" in said[1]
    port = free_port()
    command = f"exec {served.strip().removesuffix('&')} --port {port}"
    with started(["bash", "-c", command], port, tmp_path, environment):
        answer = json.loads(shell(curl.replace(":8000", f":{port}"), tmp_path, environment))
        assert [hit["title"] for hit in answer["hits"]] == ["Report theft"]
