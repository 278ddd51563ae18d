"""The results page from stored JSON, and a workspace's way into it."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rabtriever_core.cli import app
from rabtriever_core.errors import ArtifactError
from rabtriever_core.evaluation.benchmark import compare_systems
from rabtriever_core.evaluation.results import Results
from rabtriever_core.evaluation.schema import SYSTEMS
from rabtriever_core.lab.results.add import add_workspace, recorded_settings
from rabtriever_core.lab.results.dev import on_dev
from rabtriever_core.lab.results.headline import bars
from rabtriever_core.lab.results.page import _verdicts, write_page
from rabtriever_core.lab.results.stored import store
from rabtriever_core.stages import run_stage
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import ArtifactMeta, load_artifact
from tests import standins
from tests.core.evaluation.reports import made_runs, write

FACTS = {
    "command": "rabtriever run all --set=student.layers=3",
    "machine": {"cpu": "Some CPU", "cores": 2, "memory_gib": 8.0, "os": "Some OS"},
    "versions": {"torch": "2"},
}


def complete(report: Results) -> None:
    """Add what a real benchmark.json also has."""
    benchmark = report.benchmark
    benchmark["dataset"] |= {"documents": 15}
    benchmark["training"] = {"student": {"steps": 1234, "queries": 1, "pairs": 5678}}
    benchmark["response_time"] = [{"tokens": 16, "teacher_ms": 90.0, "student_ms": 3.0}]
    for name, split in benchmark["splits"].items():
        values = {system: report.values(name, system) for system in report.systems}
        split["comparisons"] = compare_systems(values, 200, 17)


def stored(tmp_path: Path, name: str, seeds: tuple[int, ...] = (1, 2, 3)) -> Path:
    folder = tmp_path / "results"
    for seed in seeds:
        report = write(tmp_path / f"{name}-{seed}", made_runs(seed), seed=seed)
        complete(report)
        store(report, folder / name, FACTS)
    return folder


def test_a_page_of_two_data_sets(tmp_path: Path) -> None:
    folder = stored(tmp_path, "esconv-like")
    stored(tmp_path, "single", (7,))
    measurement = {
        "title": "Cached and uncached",
        "command": "rabtriever lab measure-cache",
        "machine": "a machine",
        "rows": [{"path": "cached", "ms": 1.25}, {"path": "whole", "ms": 20.0, "note": "a | b"}],
    }
    (folder / "measurements").mkdir()
    (folder / "measurements" / "cache.json").write_text(json.dumps(measurement))
    page = tmp_path / "results.md"
    write_page(folder, page)
    text = page.read_text()
    for expected in (
        "| esconv-like | 3 |",
        "| single, test_2 | 1 |",
        "15 documents; seeds 1, 2, 3.",
        "| RaHoRe DPO | 38.0 | 69.5 | 57.6 |",
        "another setting",
        "| Student | 1,234 | 5,678 |",
        "| 16 | 90 | 3 |",
        "`rabtriever run all --set=student.layers=3`; Some CPU, 2 cores, 8 GiB, Some OS",
        "### Cached and uncached",
        "| whole | 20 | a &#124; b |",
        "Made by `rabtriever lab measure-cache`; a machine.",
        "![MRR@10 of the systems](results-plots/esconv-like-test.png)",
    ):
        assert expected in text, expected
    assert text.count("In print, for orientation") == 1
    again = tmp_path / "again.md"
    write_page(folder, again)
    assert again.read_text().replace("again-plots", "results-plots") == text, (
        "from what is stored alone"
    )


def test_notes_stand_below_what_they_are_about(tmp_path: Path) -> None:
    folder = stored(tmp_path, "first", (1,))
    stored(tmp_path, "second", (1,))
    (folder / "note.md").write_text("Of all of it.\n", encoding="utf-8")
    (folder / "second" / "note.md").write_text("Of the second – alone.\n", encoding="utf-8")
    write_page(folder, tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text(encoding="utf-8")
    places = ["## Systems", "Of all of it.", "### first", "### second", "Of the second – alone."]
    found = [text.index(place) for place in places]
    assert found == sorted(found)
    assert text.index("#### second, test") > found[-1]


@pytest.mark.parametrize(
    ("p", "clearly", "maybe"), [(0.001, "both", "none"), (0.2, "none", "both")]
)
def test_what_is_clearly_below_is_told_from_chance(p: float, clearly: str, maybe: str) -> None:
    systems = {name: {"MRR@10": {"mean": 0.5, "values": [0.5]}} for name in SYSTEMS}
    rows = [
        {"a": a, "b": "bi_encoder", "metric": "MRR@10", "difference": -0.1, "p_value_holm": p}
        for a in ("teacher", "student")
    ]
    text = _verdicts({"set": {"splits": {"test": {"systems": systems, "comparisons": rows}}}})
    named = {"both": "teacher on set test, student on set test.", "none": "none."}
    assert f"Below the bi-encoder with corrected p < 0.01: {named[clearly]}" in text
    assert f"Lower in the mean, which may be chance: {named[maybe]}" in text


def test_a_summary_is_made_anew_when_a_seed_is_added(tmp_path: Path) -> None:
    folder = stored(tmp_path, "set", (1, 2))
    write_page(folder, tmp_path / "page.md")
    assert "seeds 1, 2." in (tmp_path / "page.md").read_text()
    stored(tmp_path / "more", "set", (3,))
    (tmp_path / "more/results/set/seed-3").rename(folder / "set" / "seed-3")
    write_page(folder, tmp_path / "page.md")
    assert "seeds 1, 2, 3." in (tmp_path / "page.md").read_text()


@pytest.mark.parametrize(
    ("student", "p", "near", "outcome"),
    [
        (0.97, 0.009, True, "above"),
        (0.96, 0.009, False, "above"),
        (0.99, 0.02, True, "level"),
        (0.4, 0.9, False, "below"),
    ],
)
def test_bars(student: float, p: float, near: bool, outcome: str) -> None:
    means = {"teacher": 1.0, "student": student, "bi_encoder": 0.5}
    row = {"a": "student", "b": "bi_encoder", "metric": "MRR@10", "p_value_holm": p}
    found = bars(
        {
            "systems": {name: {"MRR@10": {"mean": mean}} for name, mean in means.items()},
            "comparisons": [row | {"difference": student - 0.5}, row | {"metric": "R@1"}],
        }
    )
    assert found["near_teacher"] == near
    assert found["against"]["student"]["outcome"] == outcome


def test_bad_measurements_and_empty_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no stored results in"):
        write_page(tmp_path, tmp_path / "page.md")
    (tmp_path / "measurements").mkdir()
    (tmp_path / "measurements" / "bad.json").write_text('{"rows": []}')
    with pytest.raises(ArtifactError, match=r"bad.json is no measurement \(KeyError: 'title'"):
        write_page(tmp_path, tmp_path / "page.md")


@pytest.fixture
def finished(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace whose stages are stand-ins, with a real report's files."""

    def report(context: Any) -> dict[str, Any]:
        made = write(context.output / "made", made_runs(5), seed=5)
        complete(made)
        for path in made.folder.iterdir():
            path.rename(context.output / path.name)
        made.folder.rmdir()
        (context.output / "benchmark.json").write_text(json.dumps(made.benchmark))
        return {}

    standins.install(monkeypatch, benchmark_report=report)
    changed = Workspace.open(workspace.root, ("student.temperature=2", "runtime.seed=5"))
    for stage in standins.STAGES:
        run_stage(changed, stage.name)
    return workspace


def test_a_workspace_is_stored_with_what_made_it(finished: Workspace, tmp_path: Path) -> None:
    measured = finished.measurements / "cache.json"
    measured.parent.mkdir()
    measured.write_text(json.dumps({"title": "Cache", "rows": [{"a": 1}]}))
    folder = tmp_path / "results"
    result = CliRunner().invoke(app, ["lab", "results", str(folder), "--add", str(finished.root)])
    assert result.exit_code == 0, result.output
    stored_facts = json.loads((folder / "small/seed-5/benchmark.json").read_text())["provenance"]
    assert "--set=student.temperature=2.0" in stored_facts["command"]
    assert stored_facts["settings"] == {"runtime.seed": 5, "student.temperature": 2.0}
    assert str(finished.root) not in json.dumps(stored_facts)
    teacher = load_artifact(finished.artifact("teacher")).meta.metrics
    assert stored_facts["dev"]["teacher"] == teacher["dev"]
    text = (tmp_path / "results.md").read_text()
    assert "### small" in text
    assert "### Cache" in text
    assert "rabtriever lab measure-cache" in text


def test_artifacts_that_record_a_section_that_is_no_more_are_read(finished: Workspace) -> None:
    """Until 6ce070c the report recorded a section `baselines`."""
    path = finished.reports / "meta.json"
    meta = ArtifactMeta.model_validate_json(path.read_text(encoding="utf-8"))
    config = meta.config | {"baselines": {"systems": ["minilm", "pool_classifier"]}}
    earlier = meta.model_copy(update={"config": config}).sealed()
    path.write_text(earlier.model_dump_json(indent=2), encoding="utf-8")
    assert recorded_settings(finished) == {"runtime.seed": 5, "student.temperature": 2.0}


def test_the_page_has_what_dev_chose(tmp_path: Path) -> None:
    sample = {"queries": 1200, "documents": 90}
    metrics: dict[str, Any] = {
        "bi_encoder": {"dev": {"MRR@10": 0.5} | sample},
        "teacher": {
            "dev": {"MRR@10": 0.625} | sample,
            "start_share": 0.25,
            "weights": {"cosine": 0.5, "reading": 1.5},
        },
        "student": {"dev": {"MRR@10": 0.61} | sample},
        "calibration": {"temperature": 2.0},
    }
    facts = FACTS | {"dev": on_dev(metrics)}
    zero_shot = FACTS | {"dev": on_dev({"teacher": {"dev": {"MRR@10": 0.4} | sample}})}
    for seed, provenance in ((1, facts), (2, FACTS), (3, zero_shot)):
        report = write(tmp_path / str(seed), made_runs(seed), seed=seed)
        complete(report)
        store(report, tmp_path / "results" / "set", provenance)
    write_page(tmp_path / "results", tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text()
    assert "| 1 | 1,200 | 90 | 50.0 | 62.5 | 61.0 | 0.25 | 0.50 | 1.50 |\n" in text
    assert "| 3 | 1,200 | 90 |  | 40.0 |  |  |  |  |\n" in text
    assert text.count("| 1,200 | 90 |") == 2


def test_a_report_older_than_its_artifacts_is_refused(finished: Workspace, tmp_path: Path) -> None:
    assert recorded_settings(finished)["student.temperature"] == 2.0
    run_stage(Workspace.open(finished.root), "student")
    with pytest.raises(ArtifactError, match="was made from student"):
        add_workspace(finished.root, tmp_path / "results")
