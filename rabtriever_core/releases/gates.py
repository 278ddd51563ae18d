"""The gates between a candidate and its promotion."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rabtriever_core.errors import ReleaseError
from rabtriever_core.evaluation.results import Results
from rabtriever_core.evaluation.schema import served_system
from rabtriever_core.evaluation.significance import paired_test, with_holm
from rabtriever_core.index.connection import connect
from rabtriever_core.releases.canary_file import failing, read_canaries
from rabtriever_core.releases.log import read_log, rolled_back
from rabtriever_core.releases.record import METRIC, GateResult, Release, read_releases
from rabtriever_core.releases.remeasure import measured, remeasured
from rabtriever_core.releases.serving import SERVING_PARTS, OpenRelease
from rabtriever_core.releases.store import check, fetch
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import load_artifact

Values = Mapping[str, Mapping[str, float]]
"""Split → query → MRR@10."""


def evaluate(
    workspace: Workspace,
    opened: OpenRelease,
    served: Release | None,
    *,
    unknown: str | None = None,
    asked_for: bool = False,
) -> tuple[GateResult, ...]:
    """Hold a candidate to every gate.

    Args:
        workspace: whose settings, canaries and Qdrant.
        opened: the candidate; its collection is built.
        served: the release that is served; None when none is.
        unknown: id of a served release that there is no record of here.
        asked_for: whether somebody named this release, so that a rollback from it is undone on
            purpose and not by the next scheduled run.

    Raises:
        ReleaseError: a part of the candidate is missing or damaged.
        IndexUnavailableError: Qdrant cannot be opened.
        ConfigError: canaries.jsonl is malformed.
    """
    candidate = opened.release
    names = ("benchmark_report", "teacher", "student", "qdrant_collection")
    folders = check(workspace, candidate, names)
    results = Results.read(folders["benchmark_report"])
    dev = {
        name: float(load_artifact(folders[name]).meta.metrics["dev"][METRIC])
        for name in ("teacher", "student")
    }
    built = load_artifact(folders["qdrant_collection"]).meta.metrics
    gates = workspace.settings.gates
    return (
        _not_worse(workspace, candidate, results, served, unknown),
        _floor("teacher_above_floor", dev["teacher"], gates.teacher_mrr, "teacher's dev MRR@10"),
        _floor(
            "student_near_teacher",
            dev["student"] / dev["teacher"] if dev["teacher"] else 0.0,
            gates.student_share,
            "student's dev MRR@10 over the teacher's",
        ),
        _floor(
            "exact_in_index",
            results.benchmark["exactness"]["top10_agreement"],
            gates.top10_agreement,
            "top ten that index and model agree on",
        ),
        _ceiling(
            "fast_enough", _p95(results.benchmark), gates.max_p95_ms, "slowest 5% of queries, ms"
        ),
        _ceiling(
            "small_enough", float(_bytes(candidate, built)), gates.max_bytes, "bytes of the vectors"
        ),
        _canaries(workspace, opened),
        _not_rolled_back(workspace, candidate, asked_for),
    )


def compare(
    candidate: Values, served: Values, *, max_loss: float, significance: float
) -> GateResult:
    """Whether what a candidate answers is no worse than what is served, on any split.

    Args:
        candidate: per split and query.
        served: of the same queries.
        max_loss: most that the mean may fall.
        significance: a loss with a p-value below this is refused however small it is; the p-values
            of several splits are corrected together (Holm).
    """
    tests = with_holm(
        [
            paired_test(("candidate", candidate[split]), ("served", served[split]), METRIC)
            for split in candidate
        ]
    )
    lines, passed = [], True
    for split, test in zip(candidate, tests, strict=True):
        difference, p_value = test["difference"], test["p_value_holm"]
        refused = difference < -max_loss or (difference < 0 and p_value < significance)
        passed &= not refused
        means = [float(np.mean(list(values[split].values()))) for values in (candidate, served)]
        lines.append(
            f"{split} {METRIC} {means[0]:.4f} against {means[1]:.4f} ({difference:+.4f}, "
            f"p = {p_value:.3f}, {len(candidate[split])} queries)"
        )
    worst = min(test["difference"] for test in tests)
    return GateResult(
        name="not_worse", passed=passed, figure=worst, limit=-max_loss, text="; ".join(lines)
    )


def _not_worse(
    workspace: Workspace,
    candidate: Release,
    results: Results,
    served: Release | None,
    unknown: str | None,
) -> GateResult:
    gates = workspace.settings.gates
    problem = f"release {unknown} is served and has no record here: `git pull`" if unknown else ""
    if served is not None:
        try:
            fetch(workspace, served)
            values, how = _values_of(workspace, served, candidate, results)
        except ReleaseError as error:
            problem = f"the served release cannot be measured: {error}"
        else:
            found = compare(
                measured(results), values, max_loss=gates.max_loss, significance=gates.significance
            )
            text = f"{found.text}; {served.id} {how}"
            return found.model_copy(update={"text": text})
    return GateResult(
        name="not_worse",
        passed=not problem,
        figure=None,
        limit=-gates.max_loss,
        text=problem or "nothing is served yet",
    )


def _values_of(
    workspace: Workspace, served: Release, candidate: Release, results: Results
) -> tuple[Values, str]:
    """The served release's values on the candidate's queries, and how they were come by."""
    report = Results.read(check(workspace, served, ("benchmark_report",))["benchmark_report"])
    same = report.benchmark["dataset"]["fingerprint"] == candidate.fingerprint
    if same and report.queries == results.queries:
        return measured(report), "as measured then"
    return remeasured(workspace, served, candidate, results), "measured anew on this data"


def _not_rolled_back(workspace: Workspace, candidate: Release, asked_for: bool) -> GateResult:
    """Whether nobody went back from a release that answers as the candidate does."""
    releases = read_releases(workspace)
    text = "nobody went back from it"
    for id_, event in {} if asked_for else rolled_back(read_log(workspace)).items():
        known = releases.get(id_)
        if known is not None and _answering(known) == _answering(candidate):
            why = event.reason or "no reason given"
            text = (
                f"{event.by} rolled back from {id_} to {event.release} ({why}); `rabtriever "
                f"releases promote {candidate.id}` serves it all the same"
            )
            return GateResult(
                name="not_rolled_back", passed=False, figure=None, limit=None, text=text
            )
    return GateResult(name="not_rolled_back", passed=True, figure=None, limit=None, text=text)


def _answering(release: Release) -> list[str]:
    return [release.parts[name] for name in (*SERVING_PARTS, "document_embeddings")]


def _floor(name: str, figure: float, limit: float, what: str) -> GateResult:
    text = f"{what}: {figure:.4f}, at least {limit:g}"
    return GateResult(name=name, passed=figure >= limit, figure=figure, limit=limit, text=text)


def _ceiling(name: str, figure: float, limit: float | None, what: str) -> GateResult:
    at_most = "no limit" if limit is None else f"at most {limit:g}"
    passed = limit is None or figure <= limit
    text = f"{what}: {figure:.6g}, {at_most}"
    return GateResult(name=name, passed=passed, figure=figure, limit=limit, text=text)


def _p95(benchmark: Mapping[str, Any]) -> float:
    splits = benchmark["splits"].values()
    system = served_system(benchmark)
    return max(float(split["systems"][system]["ms_p95"]) for split in splits)


def _bytes(release: Release, built: Mapping[str, Any]) -> int:
    """Of the stored vectors, their quantized copies and BM25's terms; Qdrant does not tell."""
    values = release.count * release.dimension
    copies = {"none": 0, "int8": values, "binary": release.count * -(-release.dimension // 8)}
    terms: int = built.get("bm25_terms", 0)  # a number and a weight of each
    return 4 * values + copies[release.settings["index"]["quantization"]] + 8 * terms


def _canaries(workspace: Workspace, opened: OpenRelease) -> GateResult:
    canaries, problems = read_canaries(workspace), []
    if canaries:
        with connect(workspace.settings.index, workspace.qdrant) as client:
            problems = failing(client, opened, canaries, workspace.settings.gates.canary_depth)
    answered = f"{len(canaries) - len(problems)} of {len(canaries)} canaries get what they must"
    return GateResult(
        name="team_canaries",
        passed=not problems,
        figure=float(len(problems)),
        limit=0.0,
        text="; ".join([answered, *problems[:5]]) if canaries else "no canaries.jsonl",
    )
