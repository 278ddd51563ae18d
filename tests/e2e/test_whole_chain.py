"""The whole chain for real: materialized by Dagster, recorded by DVC, served by Qdrant."""

import json
import shutil
from pathlib import Path

import dagster as dg
import pytest

from rabtriever_core.dvc.recording import run_dvc
from rabtriever_core.errors import ArtifactError, ValidationStoppedError
from rabtriever_core.stages import STAGES, run_stage, stage_named
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import folder_hash, load_artifact
from tests.asking import ask
from tests.core.small import small_dataset
from tests.e2e.conftest import small_workspace

QUERY = "Well. He lied again and I am furious. People around me can hear."


def _break_rows(folder: Path) -> None:
    """A dangling judgement, an empty document and a duplicated query."""
    with (folder / "corpus.jsonl").open("a") as file:
        file.write('{"_id": "empty", "title": "", "text": "  "}\n')
    queries = (folder / "queries.jsonl").read_text().splitlines()
    with (folder / "queries.jsonl").open("a") as file:
        file.write(queries[0] + "\n")
    with (folder / "qrels" / "train.tsv").open("a") as file:
        file.write(f"{json.loads(queries[0])['_id']}\tno-such-document\t1\n")


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, small_data: Path
) -> tuple[Workspace, dg.ExecuteInProcessResult]:
    data = tmp_path_factory.mktemp("own") / "small"
    shutil.copytree(small_data, data)
    _break_rows(data)
    workspace = small_workspace(tmp_path_factory.mktemp("chain") / "work", data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RABTRIEVER_WORKSPACE", str(workspace.root))
        from dagster_project.definitions import defs
        from dagster_project.defs.resources import WorkspaceResource

        job = defs.resolve_job_def("full_pipeline")
        result = job.execute_in_process(
            resources={"workspace": WorkspaceResource(root=str(workspace.root))},
            raise_on_error=False,
        )
    return workspace, result


def test_everything_materializes(finished) -> None:
    workspace, result = finished
    assert result.success
    assert len(result.get_asset_materialization_events()) == 11
    checks = {e.check_name: e.passed for e in result.get_asset_check_evaluations()}
    assert checks["fit_for_use"]
    assert checks["holds_all_documents"]
    assert checks["answers_probe_queries"]
    assert checks["ranks_as_the_model"]
    assert checks["not_worse"]
    assert checks["answers_as_promoted"]
    assert (workspace.reports / "benchmark.html").stat().st_size > 50_000


def test_broken_rows_are_in_quarantine_with_their_reasons(finished) -> None:
    workspace, _ = finished
    quarantine = workspace.artifact("validated_dataset") / "quarantine.jsonl"
    rows = [json.loads(line) for line in quarantine.read_text().splitlines()]
    assert sorted(Path(row["file"]).name for row in rows) == [
        "corpus.jsonl", "queries.jsonl", "train.tsv"
    ]  # fmt: skip
    assert all(row["reasons"] for row in rows)


def test_the_report_measures_every_system(finished) -> None:
    workspace, _ = finished
    benchmark = json.loads((workspace.reports / "benchmark.json").read_text())
    assert benchmark["schema"] == 1
    assert benchmark["exactness"]["top10_agreement"] == 1.0
    assert set(benchmark["calibration"]["splits"]) == {"test"}
    assert set(benchmark["splits"]) == {"test"}
    for split in benchmark["splits"].values():
        assert set(split["systems"]) == {"popularity", "bm25", "bi_encoder", "teacher", "student"}
        assert split["systems"]["student"]["queries"] == 12


def test_the_index_answers_as_the_model_ranks(finished) -> None:
    from rabtriever_core.models.student import Student

    workspace, _ = finished
    documents = small_dataset().documents
    student = Student.load(
        workspace.artifact("student"), workspace.artifact("teacher"), workspace.settings.runtime
    )
    margins = student.margin([QUERY], documents)[0]
    expected = [documents[i].id for i in margins.argsort()[::-1][:5]]
    answer = ask(workspace, QUERY, 5)
    hits = answer.hits
    assert [hit.document_id for hit in hits] == expected
    assert hits[0].margin == pytest.approx(margins.max(), abs=1e-3)
    probabilities = [hit.probability for hit in hits]
    assert probabilities == sorted(probabilities, reverse=True)


def test_dvc_is_clean_and_restores_byte_for_byte(finished) -> None:
    workspace, _ = finished
    assert "up to date" in run_dvc(workspace.root, "status")
    assert "up to date" in run_dvc(workspace.root, "repro")
    before = folder_hash(workspace.artifact("student"))
    shutil.rmtree(workspace.artifact("student"))
    run_dvc(workspace.root, "checkout", "student")
    assert folder_hash(workspace.artifact("student")) == before


def test_a_broken_data_set_stops_the_chain_and_the_collection_stays(finished, tmp_path) -> None:
    workspace, _ = finished
    copy = Workspace.open(shutil.copytree(workspace.root, tmp_path / "work"))
    before = [hit.document_id for hit in ask(copy, QUERY, 5).hits]
    (copy.dataset_folder / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\n")
    assert not run_stage(copy, "validated_dataset").meta.metrics["passed"]
    with pytest.raises(ValidationStoppedError, match="teacher does not run"):
        run_stage(copy, "teacher")
    assert [hit.document_id for hit in ask(copy, QUERY, 5).hits] == before


def test_a_student_of_another_teacher_is_refused(finished, tmp_path) -> None:
    workspace, _ = finished
    copy = Workspace.open(shutil.copytree(workspace.root, tmp_path / "work"))
    teacher = load_artifact(copy.artifact("teacher"))
    other = teacher.meta.model_copy(update={"metrics": teacher.meta.metrics | {"final_loss": 0.0}})
    (teacher.folder / "meta.json").write_text(other.sealed().model_dump_json())
    with pytest.raises(ArtifactError, match="another teacher"):
        run_stage(copy, "calibration")


def test_artifacts_hold_nothing_that_varies(finished, tmp_path, small_data) -> None:
    """Another folder, another day: the same bytes from the same data and settings."""
    workspace, _ = finished
    other = small_workspace(tmp_path / "other", workspace.dataset_folder)
    for name in [
        stage.name for stage in STAGES[: STAGES.index(stage_named("document_embeddings")) + 1]
    ]:
        assert run_stage(other, name).hash == load_artifact(workspace.artifact(name)).hash, name
