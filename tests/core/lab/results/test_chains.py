"""`rabtriever lab benchmark`: data sets and seeds to stored results and a page."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from rabtriever_core.cli import app
from rabtriever_core.lab.results import chains
from rabtriever_core.lab.results.stored import StoredResults
from rabtriever_core.stages import student
from tests.core.lab.ablation.tiny import SETTINGS, write_data

FEW = (
    *SETTINGS,
    "benchmark.permutations=200",
    "benchmark.latency_queries=2",
    "benchmark.document_lengths=[16]",
    "index.probe_queries=2",
    "index.query_tower=torch",
    "calibration.documents_per_query=4",
)


def command(root: Path, *data: str, seeds: str = "1,2") -> list[str]:
    arguments = ["lab", "benchmark", "--seeds", seeds]
    for name in data:
        arguments += ["--data", str(root / name)]
    arguments += ["--work", str(root / "work"), "--out", str(root / "results")]
    for setting in FEW:
        arguments += ["--set", setting]
    return arguments


def run(arguments: list[str], code: int) -> Any:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == code, (result.output, result.exception)
    return result


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fit data set and one that validation stops, each with two seeds."""
    folder = tmp_path_factory.mktemp("benchmark")
    write_data(folder / "fit")
    write_data(folder / "unfit")
    train = folder / "unfit" / "qrels" / "train.tsv"
    head, *rows = train.read_text().splitlines()
    train.write_text("\n".join([head, *(row.rsplit("\t", 1)[0] + "\t0" for row in rows)]) + "\n")
    result = run(command(folder, "unfit", "fit"), code=1)
    assert "failed: unfit, seed 1: ValidationStoppedError" in result.output
    assert "failed: unfit, seed 2" in result.output
    assert "fit, seed 1: stored" not in result.stdout
    return folder


def test_what_runs_is_stored_and_on_the_page(root: Path) -> None:
    for seed in (1, 2):
        stored = StoredResults.read(root / "results" / "fit" / f"seed-{seed}")
        assert stored.benchmark["seed"] == seed
        facts = stored.benchmark["provenance"]
        assert facts["command"].startswith("rabtriever run all")
        assert facts["settings"]["runtime.seed"] == seed
    page = (root / "results.md").read_text()
    assert "seeds 1, 2" in page
    assert page.count("rabtriever run all") == 1, "one line for what differs in the seed alone"
    assert "- Seeds 1, 2 (`--set=runtime.seed`): Made by" in page
    assert "unfit" not in page
    assert not (root / "results" / "unfit").exists()


def test_finished_runs_are_kept(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    artifacts = root / "work" / "fit" / "seed-1" / "artifacts"
    before = {p: p.stat().st_mtime_ns for p in artifacts.glob("*/meta.json")}
    assert len(before) == 8
    found = json.loads(run([*command(root, "fit", seeds="1"), "--json"], code=0).stdout)
    assert found["failed"] == {}
    assert {p: p.stat().st_mtime_ns for p in artifacts.glob("*/meta.json")} == before


@pytest.mark.slow
def test_two_at_a_time_under_a_label_find_the_same(root: Path) -> None:
    arguments = [*command(root, "fit", "unfit"), "--jobs", "2", "--label", "again"]
    arguments[arguments.index("--work") + 1] = str(root / "work-two")
    result = run(arguments, code=1)
    assert "failed: unfit, seed 2: ValidationStoppedError" in result.output
    for seed in (1, 2):
        one, two = (
            StoredResults.read(root / "results" / name / f"seed-{seed}")
            for name in ("fit", "fit-again")
        )
        assert one.ranks == two.ranks
        log = root / "work-two" / "fit" / f"seed-{seed}" / chains.LOG
        assert "teacher" in log.read_text()
    assert "### fit-again" in (root / "results.md").read_text()


def test_no_page_where_every_run_failed(root: Path, tmp_path: Path) -> None:
    arguments = command(root, "unfit", seeds="1")
    arguments[arguments.index("--out") + 1] = str(tmp_path / "results")
    (tmp_path / "results.md").write_text("an earlier page")
    assert "page:" not in run(arguments, code=1).stdout
    assert json.loads(run([*arguments, "--json"], code=1).stdout)["page"] is None
    assert (tmp_path / "results.md").read_text() == "an earlier page"


def test_a_fault_of_the_code_is_not_swallowed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(*_: Any) -> None:
        raise TypeError("a bug")

    monkeypatch.setattr(chains, "run_stage", faulty)
    result = CliRunner().invoke(app, command(root, "fit", seeds="1"))
    assert isinstance(result.exception, TypeError)


def test_a_full_gpu_in_one_run_does_not_stop_the_others(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(context: Any) -> Any:
        if context.settings.runtime.seed == 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 32 MiB.")
        return original(context)

    original = student.make
    monkeypatch.setattr(student, "make", make)
    result = run([*command(root, "fit", seeds="3,1"), "--json"], code=1)
    failed = json.loads(result.stdout)["failed"]
    assert list(failed) == ["fit, seed 3"]
    assert failed["fit, seed 3"].startswith("DeviceMemoryError: student: too little memory")
    assert "runtime.batch_multiple" in failed["fit, seed 3"]
