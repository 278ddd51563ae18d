"""Run a job here and wait for it, as `make run` does: `python -m dagster_project.launch JOB`.

`dg launch` does so too, but its runs belong to no code location: the UI leaves them out of the
timeline and of their job's page, and a queued run of the same workspace does not wait for them.
"""

import sys

import dagster as dg
from dagster._cli.utils import get_instance_for_cli
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.execution.api import execute_run
from dagster._core.remote_origin import RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.workspace.load_target import ModuleTarget
from dagster._utils.interrupts import capture_interrupts

LOCATION = "rabtriever"
"""The code location's name, as pyproject.toml and every deployment have it."""
DEFINITIONS = "dagster_project.definitions"


def launch(instance: dg.DagsterInstance, job_name: str) -> dg.DagsterRun:
    """Execute a job in this process (and those of its steps); returns the finished run."""
    repository = ReconstructableRepository.for_module(DEFINITIONS, "defs")
    job = ReconstructableJob(repository, job_name)
    run = instance.create_run_for_job(
        job.get_definition(),
        remote_job_origin=origin(job_name),
        job_code_origin=job.get_python_origin(),
    )
    return execute_run(job, run, instance).dagster_run


def origin(job_name: str) -> RemoteJobOrigin:
    """Where the UI has the job: the repository of the code location that `make dev` loads."""
    (location,) = ModuleTarget(DEFINITIONS, None, None, LOCATION).create_origins()
    return RemoteJobOrigin(RemoteRepositoryOrigin(location, SINGLETON_REPOSITORY_NAME), job_name)


def main(job_name: str) -> int:
    """Print the run's log as it goes on; 1 where it failed."""
    with capture_interrupts(), get_instance_for_cli() as instance:
        run = launch(instance, job_name)
    if run.is_success:
        return 0
    sys.stderr.write(f"error: run {run.run_id} of {job_name} ended as {run.status.value}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
