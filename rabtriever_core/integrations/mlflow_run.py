"""A release as a run of MLflow: settings, figures, loss curves, hashes, report."""

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from rabtriever_core.releases.record import Release
from rabtriever_core.releases.store import is_whole, part_folder
from rabtriever_core.training.history import HISTORY_FILE, read_history
from rabtriever_core.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

Item = TypeVar("Item")

_TRAINED = ("backbone", "bi_encoder", "teacher", "student")
_LONGEST = 6000
"""Characters of a parameter's value."""


def log_release(
    client: "MlflowClient",
    experiment: str,
    workspace: Workspace,
    release: Release,
    tags: Mapping[str, str],
) -> "Run":
    """Log a release as a finished run; parts that were retired are left out.

    Args:
        client: MLflow's.
        experiment: its id.
        workspace: whose release.
        release: which one.
        tags: of the run, beside those that say what the release is.
    """
    from mlflow.entities import Param, RunTag

    time = round(release.created.timestamp() * 1000)
    run = client.create_run(experiment, time, dict(tags), release.id)
    id_ = run.info.run_id
    told = {
        "dataset": release.dataset,
        "data": release.data,
        "fingerprint": release.fingerprint,
        "collection": release.collection,
        "parent": release.parent or "none",
        "made by": release.created_by,
        "mlflow.source.git.commit": release.commit or "none",
        **{f"part.{name}": hash_ for name, hash_ in release.parts.items()},
        **{f"gate.{gate.name}": _gate(gate.passed, gate.text) for gate in release.gates},
    }
    for pairs in _batches(told.items(), 100):
        client.log_batch(id_, tags=[RunTag(*pair) for pair in pairs])
    for pairs in _batches(_flat(release.settings), 100):
        client.log_batch(id_, params=[Param(name, text[:_LONGEST]) for name, text in pairs])
    for metrics in _batches(_metrics(workspace, release, time), 1000):
        client.log_batch(id_, metrics=metrics)
    client.log_dict(id_, release.model_dump(mode="json"), "release.json")
    report = release.parts.get("benchmark_report")
    if report and is_whole(workspace, report):
        client.log_artifacts(id_, str(part_folder(workspace, report)), "report")
    client.set_terminated(id_, end_time=time)
    return client.get_run(id_)


def allowed(name: str) -> str:
    """The name of a metric as MLflow allows it."""
    return name.replace("@", " at ")


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """What MLflow takes in one request."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def _gate(passed: bool, text: str) -> str:
    return f"{'passed' if passed else 'FAILED'}: {text}"


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Settings by their dotted names."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{before}{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            yield before + name, text


def _metrics(workspace: Workspace, release: Release, time: int) -> "Iterator[Metric]":
    """Figures of the benchmark, and of every step of a training that was logged."""
    from mlflow.entities import Metric

    for split, systems in release.metrics.items():
        for system, figures in systems.items():
            for name, value in figures.items():
                yield Metric(f"{split}/{system}/{allowed(name)}", value, time, 0)
    for stage in _TRAINED:
        hash_ = release.parts.get(stage, "")
        folder = part_folder(workspace, hash_)
        if hash_ and is_whole(workspace, hash_) and (folder / HISTORY_FILE).is_file():
            for row in read_history(folder):
                step = int(row.pop("step"))
                for name, value in row.items():
                    yield Metric(f"{stage}/{name}", value, time, step)
