"""The command line: readable output, one-line errors, exit codes, quick help."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rabtriever_core.cli import app
from rabtriever_core.errors import IndexUnavailableError
from rabtriever_core.index.hit import Hit
from rabtriever_core.models.probability import Calibration
from rabtriever_core.releases import promotion
from rabtriever_core.serving import retriever
from rabtriever_core.serving.answers import Answer
from rabtriever_core.serving.retriever import Retriever
from rabtriever_core.stages import STAGES
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import META
from tests import standins


def rabtriever(*arguments: object, code: int = 0) -> Any:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def test_help_comes_up_without_the_heavy_libraries() -> None:
    program = (
        "import sys; from rabtriever_core.cli import app\n"
        "try: app(['run', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'numpy', 'pandas', 'great_expectations', 'dagster',"
        " 'qdrant_client', 'matplotlib'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert "rabtriever run all" in finished.stdout
    assert finished.stdout.endswith("heavy: []\n")


def test_version_and_bare_call() -> None:
    assert rabtriever("--version").output.startswith("rabtriever 0.")
    assert "Examples:" in rabtriever(code=2).output


def test_the_installed_command_reports_errors_in_one_line(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("rabtriever")), "run", "all", "-w", "."]
    finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert finished.returncode == 2
    assert finished.stderr.startswith("error: no ")
    assert "rabtriever init" in finished.stderr
    assert finished.stderr.count("\n") == 1


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["--debug", "run", "all", "-w", str(tmp_path)])
    assert type(result.exception).__name__ == "ConfigError"


def test_init_and_demo(workspace: Workspace, tmp_path: Path) -> None:
    assert "data set 'demo'" in rabtriever("init", workspace.root).output
    rabtriever("demo", tmp_path / "copy")
    assert (tmp_path / "copy" / "qrels" / "dev.tsv").is_file()
    assert "no such folder" in rabtriever("init", workspace.root, "--data", "x", code=2).stderr


def test_run_all_then_again_then_forced(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    standins.install(monkeypatch)
    where = ("-w", workspace.root)
    ran = rabtriever("run", "all", *where).output
    assert ran.count(": built in ") == len(STAGES)
    assert ran.endswith("promoted: release 0001-abcdef (demo__x)\n")
    assert rabtriever("run", "all", *where).output.count(": up to date, ") == len(STAGES)
    assert "built in" in rabtriever("run", "student", "--force", *where).output
    changed = rabtriever("run", "student", "--set", "student.temperature=2", *where).output
    assert "built in" in changed
    meta = json.loads((workspace.artifact("student") / META).read_text())
    assert meta["config"]["student"]["temperature"] == 2
    assert not (workspace.root / "dvc.lock").exists(), "recording is not the command's business"


def test_run_as_json_is_one_value(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    standins.install(monkeypatch)
    result = rabtriever("run", "all", "--json", "-w", workspace.root)
    done = json.loads(result.stdout)
    assert done.keys() == {"stages", "data", "release"}
    assert [row["stage"] for row in done["stages"]] == [stage.name for stage in STAGES]
    assert done["stages"][0].keys() == {"stage", "hash", "folder", "reused", "seconds", "reasons"}
    assert done["data"] == {"broken": [], "warnings": []}
    assert done["release"].keys() == {"decision", "release", "collection", "gates"}
    assert (done["release"]["decision"], done["release"]["release"]) == ("promoted", "0001-abcdef")
    assert result.stderr.count(": built in ") == len(STAGES)
    again = json.loads(rabtriever("run", "student", "--json", "-w", workspace.root).stdout)
    assert again["release"] is None
    assert (again["stages"][0]["reused"], again["stages"][0]["seconds"]) == (True, None)


def test_a_refusal_as_json(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    standins.install(monkeypatch)
    monkeypatch.setattr(promotion, "promote", lambda *_, **__: standins.outcome("not_worse"))
    result = rabtriever("run", "all", "--json", "-w", workspace.root, code=1)
    release = json.loads(result.stdout)["release"]
    assert release["decision"] == "refused"
    assert [gate["name"] for gate in release["gates"] if not gate["passed"]] == ["not_worse"]


def test_a_refused_release_ends_with_code_one(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    standins.install(monkeypatch)
    monkeypatch.setattr(promotion, "promote", lambda *_, **__: standins.outcome("not_worse"))
    result = rabtriever("run", "all", "-w", workspace.root, code=1)
    assert "is refused, what was served stays: not_worse: not_worse!" in result.stderr


def test_run_names_the_stages_and_the_settings(workspace: Workspace) -> None:
    where = ("-w", workspace.root)
    assert "the stages are validated_dataset" in rabtriever("run", "x", *where, code=2).stderr
    bad = rabtriever("run", "student", "--set", "student.temperature=0", *where, code=2)
    assert "student.temperature = 0" in bad.stderr


def test_data_unfit_for_use_ends_with_code_one(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    validate = standins.standin("validated_dataset")
    broken = {"passed": False, "broken": ["enough_documents", "has_dev"]}
    standins.install(monkeypatch, validated_dataset=lambda context: validate(context) | broken)
    result = rabtriever("run", "all", "-w", workspace.root, code=1)
    assert "enough_documents; has_dev" in result.stderr
    found = json.loads(rabtriever("run", "all", "--json", "-w", workspace.root, code=1).stdout)
    assert found["data"] == {"broken": ["enough_documents", "has_dev"], "warnings": []}
    assert [row["stage"] for row in found["stages"]] == ["validated_dataset"]
    assert not workspace.artifact("backbone").exists()
    assert "has_dev" in rabtriever("run", "backbone", "-w", workspace.root, code=2).stderr


CALIBRATION = Calibration(slope=1, bias=-2, threshold=None, precision=0.9, unanswerable_share=0.5)


def _answer(hits: list[Hit], calibration: Calibration = CALIBRATION) -> Answer:
    return Answer(hits, standins.outcome().release, calibration)


def _answering(
    monkeypatch: pytest.MonkeyPatch, answer: Callable[[int, float | None], Answer]
) -> None:
    class Answering(Retriever):
        def refresh(self) -> Any:
            """There is nothing to open."""

        def search_batch(self, queries: Any, k: int = 5, **options: Any) -> list[Answer]:
            return [answer(k, options["min_probability"]) for _ in queries]

    monkeypatch.setattr(retriever, "Retriever", Answering)


def test_query_prints_a_table_or_json(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    hits = [Hit("d1", "Title", "Some\ntext " * 40, 2.5, 0.924), Hit("d2", "", "Plain", -1, 0.269)]
    _answering(monkeypatch, lambda k, _: _answer(hits[:k]))
    monkeypatch.setenv("COLUMNS", "90")
    lines = rabtriever("query", "hello", "-w", workspace.root).output.splitlines()
    assert lines[0].split() == ["rank", "margin", "probability", "document"]
    assert lines[1].split()[:5] == ["1", "2.500", "0.924", "Title:", "Some"]
    assert lines[1].endswith("…")
    assert max(map(len, lines[:3])) <= 90
    assert lines[2].split() == ["2", "-1.000", "0.269", "Plain"]
    assert lines[-1].startswith("probability: calibrated on dev; no threshold reached")
    shown = json.loads(rabtriever("query", "x", "--json", "-k", 1, "-w", workspace.root).output)
    assert [hit["document_id"] for hit in shown["hits"]] == ["d1"]
    rabtriever("query", "x", "-k", 0, "-w", workspace.root, code=2)
    rabtriever("query", "x", "--min-probability", 1.5, "-w", workspace.root, code=2)


@pytest.mark.parametrize(
    ("threshold", "asked", "fits", "words"),
    [
        (0.4, None, True, "an answer needs 0.400, fitted on dev for 90% right answers"),
        (0.6, None, False, "nothing here fits: the best has 0.550, an answer needs 0.600, fitted"),
        (0.4, 0.7, False, "nothing here fits: the best has 0.550, an answer needs 0.700, as asked"),
        (None, None, None, "no threshold reached a precision of 90% there, so nothing is refused"),
    ],
)
def test_query_says_when_nothing_fits(
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    threshold: float | None,
    asked: float | None,
    fits: bool | None,
    words: str,
) -> None:
    calibration = Calibration(
        slope=1, bias=-2, threshold=threshold, precision=0.9, unanswerable_share=0.5
    )
    hit = Hit("d1", "Title", "Text", 2.2, 0.55, fits=fits)
    given: list[float | None] = []
    _answering(monkeypatch, lambda _, p: given.append(p) or _answer([hit], calibration))
    option = () if asked is None else ("--min-probability", asked)
    code = 1 if fits is False else 0
    output = rabtriever("query", "x", *option, "-w", workspace.root, code=code).output
    assert given == [asked]
    assert words in output
    assert "0.550" in output.splitlines()[1]
    shown = json.loads(rabtriever("query", "x", "--json", "-w", workspace.root, code=code).stdout)
    assert (shown["hits"][0]["probability"], shown["hits"][0]["fits"]) == (0.55, fits)


def test_query_without_an_index_is_one_line(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(*_: object) -> None:
        raise IndexUnavailableError("Qdrant cannot be reached:\n start it")

    monkeypatch.setattr(Retriever, "refresh", unavailable)
    result = rabtriever("query", "x", "-w", workspace.root, code=2)
    assert result.stderr == "error: Qdrant cannot be reached: start it\n"


def test_report(workspace: Workspace) -> None:
    assert "benchmark_report" in rabtriever("report", "-w", workspace.root, code=2).stderr
    workspace.reports.mkdir()
    (workspace.reports / "benchmark.json").write_text(json.dumps(standins.benchmark()))
    output = rabtriever("report", "-w", workspace.root).output
    assert "Student" in output
    assert output.rstrip().endswith(os.fspath(workspace.reports / "benchmark.html"))
    plain = rabtriever("report", "--json", "-w", workspace.root).stdout
    assert json.loads(plain) == standins.benchmark()
