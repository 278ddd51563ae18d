"""Jobs that keep models although the data changed."""

from typing import Any

import dagster as dg
import pytest

from dagster_project.definitions import defs
from dagster_project.defs.jobs import reindex, retrain_predictor
from rabtriever_core.dvc.recording import add_data, run_dvc
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import load_artifact
from tests.dagster_project.conftest import Materialize
from tests.dagster_project.outcomes import materialized


@pytest.mark.parametrize(
    ("job", "changed"),
    [
        (retrain_predictor, {"student", "document_embeddings"}),
        pytest.param(reindex, {"document_embeddings"}, marks=pytest.mark.slow),
    ],
)
def test_new_data_leave_what_the_job_keeps(
    materialize: Materialize,
    workspace: Workspace,
    instance: dg.DagsterInstance,
    job: Any,
    changed: set[str],
) -> None:
    assert materialize().success
    stages = ("backbone", "bi_encoder", "teacher", "student", "document_embeddings")
    before = {stage: load_artifact(workspace.artifact(stage)).hash for stage in stages}
    with (workspace.dataset_folder / "corpus.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"_id": "another", "title": "", "text": "Something else."}\n')
    add_data(workspace)
    # As the job is configured, but for this workspace.
    config = dg.validate_run_config(defs.resolve_job_def(job.name))
    config = {"resources": {"workspace": config["resources"]["workspace"]}}
    config["resources"]["workspace"]["config"]["root"] = str(workspace.root)
    result = defs.resolve_job_def(job.name).execute_in_process(
        run_config=config,
        instance=instance,
        raise_on_error=False,
    )
    assert result.success
    assert "teacher" not in materialized(result)
    after = {stage: load_artifact(workspace.artifact(stage)).hash for stage in stages}
    assert {stage for stage in stages if after[stage] != before[stage]} == changed
    assert "up to date" in run_dvc(workspace.root, "status"), "the ledger says what was kept"


@pytest.mark.parametrize(("job", "kind"), [(retrain_predictor, "predictor"), (reindex, "reindex")])
def test_the_jobs_say_what_they_keep(job: Any, kind: str) -> None:
    resolved = defs.resolve_job_def(job.name)
    assert (
        dg.validate_run_config(resolved)["resources"]["workspace"]["config"]["retraining"] == kind
    )
