"""A two-variant, two-seed plan end to end: results, resuming, failures."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rabtriever_core.cli import app
from rabtriever_core.lab.ablation import measure, summary, tables
from rabtriever_core.lab.ablation.plan import read_plan
from rabtriever_core.lab.ablation.sources import open_sources
from rabtriever_core.lab.ablation.tree import ArtifactTree
from rabtriever_core.stages import student as student_stage
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import load_artifact
from tests.core.lab.ablation.tiny import PLAN, command, write_data
from tests.core.small import small_dataset


class KilledError(BaseException):
    """What stops the process, as a kill would: nobody catches it."""


def ablate(arguments: list[str], code: int = 0) -> Any:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == code, (result.output, result.exception)
    return result


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Plan, data, work and results; the first command was killed in its third run."""
    root = tmp_path_factory.mktemp("sweep")
    write_data(root / "small")
    (root / "tiny.yaml").write_text(PLAN)
    arguments = command(root / "tiny.yaml", root, [root / "small"])
    calls: list[int] = []
    original = student_stage.make

    def stops_at_the_third(context: Any) -> dict[str, Any]:
        calls.append(context.settings.runtime.seed)
        if len(calls) == 3:
            raise KilledError
        return original(context)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(student_stage, "make", stops_at_the_third)
        with pytest.raises(KilledError):
            CliRunner().invoke(app, arguments)
        assert len(list((root / "out/tiny/runs").glob("*.json"))) == 2
        listed = ablate([*arguments, "--dry-run"]).output.splitlines()
        assert [line.split()[0] for line in listed[1:]] == ["finished"] * 2 + ["to"] * 2
        ablate(arguments)
        assert calls == [1, 1, 2, 2, 2], "finished runs are not repeated"
        ablate(arguments)
        assert len(calls) == 5
    return root


def read(root: Path, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(
        (root / "out/tiny/runs" / f"small.{name}.json").read_text()
    )
    return content


def test_a_run_says_what_it_is(done: Path) -> None:
    run = read(done, "seed-1.no-mse")
    assert run["overrides"] == ["student.mse_weight=0", "student.schedule.learning_rate=0.01"]
    assert run["settings"]["student.mse_weight"] == 0
    assert run["settings"]["runtime.seed"] == 1
    assert run["dataset"]["documents"] == 12
    assert run["dataset"]["queries"] == 12
    assert set(run["systems"]) == {"student", "bi_encoder"}
    assert run["budget"]["student"]["steps"] == 10
    assert set(run["dev_sample"]) == {"bi_encoder", "teacher", "student"}
    assert run["machine"]["cores"] >= 1
    assert run["versions"]["torch"]
    assert str(done) not in json.dumps(run), "no machine's path"
    assert "grandmother" not in json.dumps(run), "no text of the data"


def test_upstream_is_built_once_and_shared(done: Path) -> None:
    full, other = read(done, "seed-1.full"), read(done, "seed-1.no-mse")
    differing = {k for k in full["artifacts"] if full["artifacts"][k] != other["artifacts"][k]}
    assert differing == {"student"}
    assert full["systems"]["bi_encoder"] == other["systems"]["bi_encoder"]
    assert len(list((done / "work/small/seed-1").glob("teacher-*"))) == 1
    assert len(list((done / "work/small/seed-1").glob("student-*"))) == 2
    student = next((done / "work/small/seed-2").glob("student-*/artifacts/student"))
    teacher = load_artifact(student.parent / "teacher")
    assert load_artifact(student).meta.parents["teacher"] == teacher.hash


def test_ranks_are_those_of_the_stages_own_measure(done: Path) -> None:
    for name in ("seed-1.full", "seed-2.no-mse"):
        run = read(done, name)
        student = run["systems"]["student"]
        assert student["metrics"]["MRR@10"] == pytest.approx(
            run["dev_sample"]["student"]["MRR@10"], abs=1e-6
        ), "dev is small enough that both measure all of it"
        mean = measure.reciprocal_ranks(student["ranks"]).mean()
        assert mean == pytest.approx(student["metrics"]["MRR@10"], abs=1e-6)


def test_the_summary_is_of_the_runs(done: Path) -> None:
    found = json.loads((done / "out/tiny/summary.json").read_text())
    variants = found["datasets"]["small"]["variants"]
    cell = variants["no-mse"]["systems"]["student"]["MRR@10"]
    values = [read(done, f"seed-{s}.no-mse")["systems"]["student"]["metrics"] for s in (1, 2)]
    assert cell["values"] == [v["MRR@10"] for v in values]
    assert cell["sd"] > 0
    test = variants["no-mse"]["systems"]["student"]["comparison"]
    first = variants["full"]["systems"]["student"]["MRR@10"]["mean"]
    assert test["difference"] == pytest.approx(cell["mean"] - first, abs=1e-6)
    assert "comparison" not in variants["full"]["systems"]["student"]
    same = variants["no-mse"]["systems"]["bi_encoder"]["comparison"]
    assert (same["difference"], same["p_value"]) == (0, 1)
    table = (done / "out/tiny/table.md").read_text()
    assert "Elsewhere, in print" in table
    assert "50.0" in table
    assert (done / "out/tiny/plot.png").read_bytes().startswith(b"\x89PNG")


def test_a_budget_is_stated_where_variants_share_one(done: Path) -> None:
    plan = read_plan(str(done / "tiny.yaml"))
    found = summary.summarize(plan, summary.read_runs(plan, done / "out/tiny"))
    assert "Budget: bi-encoder 10 steps" in tables.plan_markdown(plan, found)
    first = plan.model_copy(update={"stage": "bi_encoder"})
    for facts in found["datasets"].values():
        facts["budget"] = {"bi_encoder": facts["budget"]["bi_encoder"]}
    assert "Budget" not in tables.plan_markdown(first, found)


def test_a_changed_plan_runs_only_what_changed(done: Path) -> None:
    (done / "changed").mkdir()
    plan = done / "changed" / "tiny.yaml"
    plan.write_text(PLAN.replace("learning_rate=0.01", "learning_rate=0.02"))
    listed = ablate([*command(plan, done, [done / "small"]), "--dry-run"]).output.splitlines()
    states = {line.split(",")[2].split("  ")[0].strip(): line.split()[0] for line in listed[1:]}
    assert states == {"full": "finished", "without MSE": "to"}


def test_a_failing_variant_does_not_stop_the_others(
    done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = done / "failing.yaml"
    extra = "  broken: {label: broken, set: [student.layers=3]}\n"
    plan.write_text(PLAN + extra + "  last: {label: last, set: [student.layers=1]}\n")
    original = student_stage.make

    def fails(context: Any) -> dict[str, Any]:
        if context.settings.student.layers == 3:
            raise ValueError("diverged")
        return original(context)

    monkeypatch.setattr(student_stage, "make", fails)
    result = ablate(command(plan, done, [done / "small"], seeds="1"), code=1)
    assert "failed: small, seed 1, broken: ValueError: diverged" in result.stderr
    names = {path.name for path in (done / "out/failing/runs").glob("*.json")}
    assert names == {f"small.seed-1.{variant}.json" for variant in ("full", "no-mse", "last")}
    assert "not run" in (done / "out/failing/table.md").read_text()


@pytest.mark.slow
def test_two_at_a_time_find_the_same(done: Path, tmp_path: Path) -> None:
    plan = tmp_path / "tiny.yaml"
    plan.write_text(PLAN + "  broken: {label: broken, set: [student.start=served]}\n")
    arguments = command(plan, tmp_path, [done / "small"], seeds="1")
    result = ablate([*arguments, "--jobs", "2"], code=1)
    assert "failed: small, seed 1, broken: " in result.stderr
    for variant in ("full", "no-mse"):
        one, two = read(done, f"seed-1.{variant}"), read(tmp_path, f"seed-1.{variant}")
        assert one["systems"] == two["systems"]
        assert one["artifacts"] == two["artifacts"]
        log = tmp_path / "work/small/logs" / f"tiny.seed-1.{variant}.log"
        assert "student" in log.read_text()
    assert len(list((tmp_path / "work/small/seed-1").glob("teacher-*"))) == 1


def test_a_workspaces_settings_and_artifacts_are_taken_over(
    done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    students = sorted((done / "work/small/seed-1").glob("student-*"))
    built = next(folder for folder in students if (folder / "artifacts/student/meta.json").exists())
    (source,) = open_sources([built], done / "other")
    assert source.workspace == built
    settings = Workspace.open(built).settings
    monkeypatch.setattr(student_stage, "make", lambda _: pytest.fail("trained again"))
    tree = ArtifactTree(done / "other" / "small", source)
    artifacts = tree.build(source.settings(1, ()), "student")
    assert source.settings(1, ()) == settings
    assert artifacts["student"].hash == load_artifact(built / "artifacts/student").hash


def test_runs_on_other_queries_are_not_averaged(done: Path, tmp_path: Path) -> None:
    plan = read_plan(str(done / "tiny.yaml"))
    runs = tmp_path / "runs"
    runs.mkdir()
    for path in (done / "out/tiny/runs").glob("*.json"):
        (runs / path.name).write_bytes(path.read_bytes())
    changed = runs / "small.seed-2.full.json"
    changed.write_text(json.dumps(json.loads(changed.read_text()) | {"task": "other"}))
    with pytest.raises(summary.ArtifactError, match="different queries"):
        summary.read_runs(plan, tmp_path)
    changed.write_text("{")
    with pytest.raises(summary.ArtifactError, match=r"small.seed-2.full.json is damaged"):
        summary.read_runs(plan, tmp_path)


def test_a_sample_keeps_the_judged_documents(done: Path) -> None:
    plan = read_plan(str(done / "tiny.yaml")).model_copy(update={"queries": 3, "documents": 5})
    task = measure.Task.of(small_dataset(), plan)
    assert len(task.queries) == 3
    assert len(task.documents) == 5
    right = {d for labels in task.qrels.values() for d in labels}
    assert right <= {d.id for d in task.documents}
    assert task.digest == measure.Task.of(small_dataset(), plan).digest
    assert (
        task.digest
        != measure.Task.of(small_dataset(), plan.model_copy(update={"queries": 4})).digest
    )
