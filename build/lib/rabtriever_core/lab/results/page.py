"""The results page: Markdown and plots from stored JSON alone."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rabtriever_core.errors import ArtifactError
from rabtriever_core.evaluation.schema import SYSTEM_LABELS, in_order
from rabtriever_core.lab.ablation.plan import Plan, parse_plan
from rabtriever_core.lab.ablation.plots import draw
from rabtriever_core.lab.ablation.report import PLAN, summary_of
from rabtriever_core.lab.ablation.tables import mean_and_sd, plan_markdown, table
from rabtriever_core.lab.results import printed
from rabtriever_core.lab.results.add import MEASUREMENTS
from rabtriever_core.lab.results.dev import dev_markdown
from rabtriever_core.lab.results.headline import STUDENT_SHARE, bars, summarized
from rabtriever_core.lab.results.measurements import measurement_markdown, source
from rabtriever_core.lab.results.plots import systems_figure
from rabtriever_core.lab.results.stored import NOTE, StoredResults, stored_datasets
from rabtriever_core.lab.results.table import headline_table
from rabtriever_core.report import wording
from rabtriever_core.report.plot_style import save_png
from rabtriever_core.workspace.atomic import write_text

ABLATIONS = "ablations"
_SHOWN = ("R@1", "R@3", "R@5", "R@10", "MRR@10", "nDCG@10")


def write_page(folder: Path, page: Path) -> None:
    """Make the page.

    Args:
        folder: of the stored results; summaries are kept there.
        page: the Markdown file; plots go to a folder beside it.

    Raises:
        ArtifactError: there are no results, or a stored file is damaged.
    """
    datasets = stored_datasets(folder)
    plans = sorted((folder / ABLATIONS).glob(f"*/{PLAN}"))
    measurements = sorted((folder / MEASUREMENTS).glob("*.json"))
    if not (datasets or plans or measurements):
        raise ArtifactError(
            f"no stored results in {folder}: `rabtriever lab results {folder} --add WORKSPACE` "
            f"adds a workspace's, `rabtriever lab ablate … --out {folder / ABLATIONS}` its own"
        )
    plots = page.with_name(f"{page.stem}-plots")
    plots.mkdir(parents=True, exist_ok=True)
    parts = ["# Results", _INTRODUCTION]
    if datasets:
        summaries = {name: summarized(results) for name, results in datasets.items()}
        parts += ["## Systems", headline_table(summaries), _verdicts(summaries), *_note(folder)]
        for name, results in datasets.items():
            parts += _dataset(name, results, summaries[name], plots)
    if plans:
        parts.append("## Ablations and sweeps")
        parts += [_ablation(path.parent, plots) for path in plans]
    if measurements:
        parts.append("## Further measurements")
        parts += [measurement_markdown(path, plots) for path in measurements]
    write_text(page, "\n\n".join(part.strip() for part in parts) + "\n")


_INTRODUCTION = """\
Made by `rabtriever lab results` from stored numbers. Metrics are in percent, of the full pool
unless it says otherwise; mean ± sd is over seeds (the sample's sd), intervals are 95% over queries,
each first averaged over the seeds. p-values are of paired randomization tests on the same averages,
corrected (Holm) for all comparisons made on a data set. p speaks for other queries, the sd for
other seeds."""


def _verdicts(summaries: Mapping[str, Any]) -> str:
    """How often the bars hold."""
    near, above, count = [], [], 0
    below: dict[bool, list[str]] = {True: [], False: []}
    for name, summary in summaries.items():
        for split_name, split in summary["splits"].items():
            found = bars(split)
            against, title = found["against"], f"{name} {split_name}"
            count += 1
            if found["near_teacher"]:
                near.append(title)
            if all(against[s]["outcome"] == "above" for s in ("teacher", "student")):
                above.append(title)
            for system, found_against in against.items():
                if found_against["outcome"] == "below":
                    below[found_against["clear"]].append(f"{system} on {title}")
    return (
        f"- Student at least {STUDENT_SHARE} × teacher: on {len(near)} of {count}"
        + (f" ({', '.join(near)})." if near else ".")
        + f"\n- Teacher and student both above the bi-encoder with corrected p < 0.01: on "
        f"{len(above)} of {count}"
        + (f" ({', '.join(above)})." if above else ".")
        + "\n- Below the bi-encoder with corrected p < 0.01: "
        + f"{', '.join(below[True]) or 'none'}."
        + f"\n- Lower in the mean, which may be chance: {', '.join(below[False]) or 'none'}."
    )


def _note(folder: Path) -> list[str]:
    path = folder / NOTE
    return [path.read_text(encoding="utf-8")] if path.is_file() else []


def _dataset(
    name: str, results: Sequence[StoredResults], summary: Mapping[str, Any], plots: Path
) -> list[str]:
    benchmark = results[0].benchmark
    facts = benchmark["dataset"]
    seeds = ", ".join(map(str, summary["seeds"]))
    parts = [f"### {name}", f"{facts['documents']:,} documents; seeds {seeds}."]
    if benchmark.get("teacher_candidates"):
        parts.append(
            f"The pool is too large for rerankers: they ranked the student's best "
            f"{benchmark['teacher_candidates']}."
        )
    parts += _note(results[0].folder.parent)
    for split_name, split in summary["splits"].items():
        parts += [
            f"#### {name}, {split_name}: {split['queries']:,} queries",
            _systems_table(split),
            _tests(split),
        ]
        plot = plots / f"{name}-{split_name}.png"
        save_png(systems_figure(split, f"{name}, {split_name}"), plot)
        parts.append(f"![MRR@10 of the systems]({plots.name}/{plot.name})")
    if name.startswith("esconv"):
        rows = [[label, *(f"{v:.1f}" for v in values)] for label, *values in printed.ESCONV]
        parts += [
            f"In print, for orientation ({printed.ESCONV_SOURCE}):",
            table(["system", "R@1", "R@3", "MRR"], rows),
        ]
    parts += [_budget(summary["costs"]), dev_markdown(results)]
    parts += [_response_time(results), _made_by(results)]
    return [part for part in parts if part]


def _systems_table(split: Mapping[str, Any]) -> str:
    rows = []
    for system in in_order(split["systems"]):
        found = split["systems"][system]
        low, high = found["MRR@10"].get("interval", (None, None))
        interval = "" if low is None else f"{wording.percent(low)} to {wording.percent(high)}"
        rows.append([SYSTEM_LABELS[system], *(mean_and_sd(found[m]) for m in _SHOWN), interval])
    return table(["system", *_SHOWN, "MRR@10, 95%"], rows)


def _tests(split: Mapping[str, Any]) -> str:
    rows = [row for row in split["comparisons"] if row["metric"] == "MRR@10"]
    return "\n".join(f"- {wording.comparison(row)}" for row in rows)


def _budget(costs: Mapping[str, Any]) -> str:
    rows = []
    for system, found in costs.items():
        time = found.get("ms_per_query")
        rows.append(
            [
                SYSTEM_LABELS[system],
                *(f"{found[key]:,.0f}" if key in found else "" for key in ("steps", "pairs")),
                f"{found['seconds']:,.0f}" if "seconds" in found else "",
                "" if time is None else wording.milliseconds(time),
            ]
        )
    columns = ["system", "training steps", "training pairs", "training seconds", "ms per query"]
    return (
        table(columns, rows)
        + "\n\nPairs are of a training query and a document drawn for it; the backbone's warm-up, "
        "and the teacher's training where it is distilled, come on top."
    )


def _response_time(results: Sequence[StoredResults]) -> str:
    """Milliseconds per query against document length, means over the seeds that measured it."""
    times: dict[int, list[Mapping[str, float]]] = {}
    for each in results:
        for row in each.benchmark.get("response_time") or []:
            times.setdefault(int(row["tokens"]), []).append(row)
    if not times:
        return ""
    rows = [
        [
            str(tokens),
            *(
                wording.milliseconds(float(np.mean([row[f"{system}_ms"] for row in found])))
                for system in ("teacher", "student")
            ),
        ]
        for tokens, found in sorted(times.items())
    ]
    return "Response time against document length (as in Figure 4 of the paper):\n\n" + table(
        ["document tokens", "teacher, ms per query", "student, ms per query"], rows
    )


def _made_by(results: Sequence[StoredResults]) -> str:
    """One line for all seeds that were made alike."""
    seeds: dict[str, list[str]] = {}
    for each in results:
        facts = dict(each.benchmark.get("provenance", {}))
        versions = ", ".join(f"{k} {v}" for k, v in facts.get("versions", {}).items())
        seed = str(each.benchmark["seed"])
        if "command" in facts:
            facts["command"] = facts["command"].replace(f" --set=runtime.seed={seed}", "")
        line = source(facts) + (f" {versions}." if versions else "")
        seeds.setdefault(line, []).append(seed)
    return "\n".join(
        f"- Seed{'s' if len(of) > 1 else ''} {', '.join(of)} (`--set=runtime.seed`): {line}"
        for line, of in seeds.items()
    )


def _ablation(folder: Path, plots: Path) -> str:
    plan = _stored_plan(folder / PLAN)
    summary = summary_of(plan, folder)
    plot = plots / f"{plan.name}.png"
    save_png(draw(plan, summary), plot)
    link = f"![{plan.metric} of the variants]({plots.name}/{plot.name})"
    return f"{plan_markdown(plan, summary, heading='###')}\n{link}"


def _stored_plan(path: Path) -> Plan:
    try:
        return parse_plan(json.loads(path.read_text(encoding="utf-8")), str(path))
    except ValueError as error:
        raise ArtifactError(f"{path} is damaged: {error}") from None
