"""A plan's summary as Markdown."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rabtriever_core.evaluation.schema import SYSTEM_LABELS
from rabtriever_core.lab.ablation.plan import Plan
from rabtriever_core.report.wording import p_value, percent

SHOWN = ("R@1", "R@3", "R@5", "MRR@10", "nDCG@10")


def plan_markdown(plan: Plan, summary: Mapping[str, Any], heading: str = "##") -> str:
    """Heading, note, overview over the data sets, and a table per data set."""
    parts = [f"{heading} {plan.title}"]
    if plan.note:
        parts.append(plan.note)
    parts.append(_overview(plan, summary))
    if plan.printed:
        parts.append(f"Columns in print: {plan.printed}.")
    for name, found in summary["datasets"].items():
        parts += [f"{heading}# {name}", _facts(plan, found), _details(plan, summary, name)]
    parts.append(
        "Mean ± sd over seeds (sample's sd), in percent. Δ and p are against the first row, in "
        f"{summary['tested_metric']}: paired randomization over queries, each first averaged over "
        "the seeds; corrected (Holm) for all comparisons of this section. p speaks for other "
        "queries, the sd for other seeds."
    )
    parts.append(
        "\n".join(
            [
                *(f"- `{command}`" for command in summary["commands"]),
                *(f"- on {machine}" for machine in summary["machines"]),
            ]
        )
    )
    if summary["mixed"]:
        parts.append(f"Not all runs were made alike: {', '.join(summary['mixed'])}.")
    return "\n\n".join(parts) + "\n"


def mean_and_sd(cell: Mapping[str, Any]) -> str:
    """Percent, as in "52.1 ± 0.8"; the value alone where there is one seed."""
    mean = percent(cell["mean"])
    return f"{mean} ± {percent(cell['sd'])}" if "sd" in cell else mean


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A Markdown table; the first columns to the left, numbers to the right."""
    rule = ["---"] * left + ["---:"] * (len(columns) - left)
    return "\n".join(
        f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |"
        for row in (columns, rule, *rows)
    )


def _overview(plan: Plan, summary: Mapping[str, Any]) -> str:
    datasets = summary["datasets"]
    printed = list(dict.fromkeys(key for v in plan.variants.values() for key in v.printed))
    many = len(plan.systems) > 1
    columns = [f"{plan.metric} (%)", *(["system"] if many else []), *datasets]
    columns += [f"{name}, in print" for name in printed]
    rows = []
    for name, variant in plan.variants.items():
        for system in plan.systems:
            cells = [_cell(found["variants"], name, system, plan) for found in datasets.values()]
            rows.append(
                [
                    variant.label,
                    *([SYSTEM_LABELS[system]] if many else []),
                    *cells,
                    *(f"{variant.printed[p]:.1f}" if p in variant.printed else "" for p in printed),
                ]
            )
    return table(columns, rows, left=1 + many)


def _cell(variants: Mapping[str, Any], name: str, system: str, plan: Plan) -> str:
    if name not in variants:
        return "not run"
    cell = variants[name]["systems"][system]
    clear = cell.get("comparison", {}).get("p_value_holm", 1) < 0.05
    text = mean_and_sd(cell[plan.metric])
    return f"**{text}**" if clear and plan.metric == "MRR@10" else text


def _facts(plan: Plan, found: Mapping[str, Any]) -> str:
    seeds = ", ".join(map(str, found["seeds"]))
    steps = "; ".join(
        f"{SYSTEM_LABELS[name].lower()} {budget['steps']:,} steps, {budget['pairs']:,} pairs"
        for name, budget in found["budget"].items()
        if plan.stage == "student" or name != plan.stage
    )
    settings = " ".join(f"{name}={_plain(value)}" for name, value in found["settings"].items())
    sample = ", ".join(
        f"{SYSTEM_LABELS[name].lower()} {percent(value)}"
        for name, value in found["dev_sample"].items()
    )
    lines = [
        f"{found['queries']:,} queries of {found['split']} over {found['documents']:,} documents; "
        f"seeds {seeds}.{f' Budget: {steps}.' if steps else ''}",
        f"MRR@10 on the dev sample that stages measure themselves on, first row: {sample}.",
        _folded("settings other than the defaults", settings) if settings else "Default settings.",
    ]
    return "\n\n".join(lines)


def _folded(title: str, text: str) -> str:
    """Long and seldom read: shown on demand."""
    return f"<details><summary>{title}</summary>\n\n`{text}`\n\n</details>"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _details(plan: Plan, summary: Mapping[str, Any], dataset: str) -> str:
    many = len(plan.systems) > 1
    columns = ["variant", *(["system"] if many else []), *SHOWN, "Δ", "p", "seeds"]
    rows = []
    for name, found in summary["datasets"][dataset]["variants"].items():
        label = plan.variants[name].label
        if "same_as" in found:
            label += f" (the same as: {plan.variants[found['same_as']].label})"
        for system, cell in found["systems"].items():
            test = cell.get("comparison")
            rows.append(
                [
                    label,
                    *([SYSTEM_LABELS[system]] if many else []),
                    *(mean_and_sd(cell[metric]) for metric in SHOWN),
                    f"{100 * test['difference']:+.1f}" if test else "",
                    p_value(test["p_value_holm"]).removeprefix("p ").removeprefix("= ")
                    if test
                    else "",
                    str(len(found["seeds"])),
                ]
            )
    return table(columns, rows, left=1 + many)
