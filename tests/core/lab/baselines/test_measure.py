"""`rabtriever lab baselines`: further systems beside the report's, on its queries."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rabtriever_core.cli import app
from rabtriever_core.config import Settings
from rabtriever_core.config.params_file import params_yaml
from rabtriever_core.evaluation.schema import SYSTEMS
from rabtriever_core.lab.baselines import measure
from rabtriever_core.lab.results.page import write_page
from rabtriever_core.stages import run_stage
from rabtriever_core.workspace import PARAMS, Workspace
from tests.core.evaluation.test_benchmark_stage import SETTINGS, make_workspace

SHORT = {
    "documents_per_query": 4,
    "schedule": {"min_steps": 10, "max_steps": 10, "queries_per_step": 3},
}


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with a real report."""
    workspace = make_workspace(tmp_path_factory.mktemp("lab"), SETTINGS | {"teacher": SHORT})
    run_stage(workspace, "benchmark_report")
    (workspace.root / PARAMS).write_text(params_yaml(workspace.settings), encoding="utf-8")
    return workspace


def baselines(workspace: Workspace, *arguments: str, code: int = 0) -> Any:
    command = ["lab", "baselines", "-w", str(workspace.root), "--json", *arguments]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == code, result.output
    return result.stderr if code else json.loads(result.stdout)


def test_they_are_measured_beside_the_reports_systems(reported: Workspace, tmp_path: Path) -> None:
    named = ("linear_reranker", "kl_bi_encoder")
    found = baselines(reported, *(f"--system={name}" for name in named))
    report = json.loads((reported.reports / "benchmark.json").read_text(encoding="utf-8"))
    measured, stated = found["splits"]["test"], report["splits"]["test"]["systems"]
    assert set(measured["systems"]) == {*stated, *named} >= {"popularity", *SYSTEMS}
    for name, system in stated.items():
        assert measured["systems"][name]["metrics"] == pytest.approx(system["metrics"], abs=1e-6)
        assert measured["systems"][name]["ms_per_query"] == system["ms_per_query"]
    assert all(measured["systems"][name]["ms_per_query"] > 0 for name in named)
    compared = {(row["a"], row["b"]) for row in measured["comparisons"]}
    assert {(a, b) for a in ("student", "teacher") for b in named} <= compared
    assert all(row["p_value_holm"] >= row["p_value"] for row in measured["comparisons"])
    budget = found["training"]["linear_reranker"]
    assert found["training"]["kl_bi_encoder"]["pairs"] == budget["pairs"] == 10 * 3 * 4
    assert budget["seconds"] > 0
    assert found["command"] == (
        "rabtriever lab baselines --system=linear_reranker --system=kl_bi_encoder"
    )
    row = next(row for row in found["rows"] if row["system"] == "Bi-encoder, KL")
    assert (row["split"], row["steps"], row["pairs"]) == ("test", 10, 120)
    assert row["student − it"] is not None
    table = (reported.measurements / "baselines.md").read_text(encoding="utf-8")
    assert "| Bi-encoder, KL | test |" in table
    # A report made again lists its own stages alone.
    again = run_stage(reported, "benchmark_report", force=True)
    written = json.loads((again.folder / "benchmark.json").read_text(encoding="utf-8"))
    assert not set(named) & {*written["seconds"], *written["splits"]["test"]["systems"]}
    shutil.copytree(reported.measurements, tmp_path / "results" / "measurements")
    write_page(tmp_path / "results", tmp_path / "page.md")
    assert "### Further baselines on small" in (tmp_path / "page.md").read_text(encoding="utf-8")


def test_of_a_large_pool_a_reranker_reads_what_the_teacher_read(
    reported: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(shutil.copytree(reported.root, tmp_path / "copy"))
    sections = SETTINGS | {
        "teacher": SHORT,
        "benchmark": SETTINGS["benchmark"] | {"teacher_pairs": 10, "teacher_depth": 11},
    }
    copy = Workspace(root, Settings(**sections))
    (root / PARAMS).write_text(params_yaml(copy.settings), encoding="utf-8")
    run_stage(copy, "benchmark_report")
    seen: list[Any] = []
    rankers = measure.baseline_rankers

    def spy(*arguments: Any) -> Any:
        made = rankers(*arguments)
        (ranking,) = made["linear_reranker"](["what is 7"])
        seen.append(len(ranking))
        return made

    monkeypatch.setattr(measure, "baseline_rankers", spy)
    baselines(copy, "--system=linear_reranker")
    assert seen == [11]


def test_a_report_of_another_teacher_is_refused(reported: Workspace, tmp_path: Path) -> None:
    copy = Workspace(Path(shutil.copytree(reported.root, tmp_path / "copy")), reported.settings)
    run_stage(copy, "teacher", force=True)
    assert "was made from another teacher" in baselines(copy, code=2)
    shutil.rmtree(copy.reports)
    assert "rabtriever run benchmark_report" in baselines(reported_again(copy, reported), code=2)


def reported_again(copy: Workspace, original: Workspace) -> Workspace:
    """The teacher that the student was made from, again."""
    shutil.rmtree(copy.artifact("teacher"))
    shutil.copytree(original.artifact("teacher"), copy.artifact("teacher"))
    return copy


@pytest.mark.parametrize("given", ["kl_bi_encoder", "kl_bi_encoder=fast"])
def test_a_bad_rate_is_said(reported: Workspace, given: str) -> None:
    said = baselines(reported, "--learning-rate", given, code=2)
    assert "expected SYSTEM=RATE" in said
