"""The benchmark's numbers in words, and as a table for the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rabtriever_core.evaluation.metrics import METRICS
from rabtriever_core.evaluation.schema import SYSTEM_LABELS, SYSTEMS, in_order, point_of


def headline_split(splits: Mapping[str, Any]) -> str:
    """The split that the headline is about: `test` where there is one, else the last."""
    return "test" if "test" in splits else list(splits)[-1]


def headline(benchmark: Mapping[str, Any]) -> str:
    """Quality and speed of the student against the others, in two sentences."""
    split = headline_split(benchmark["splits"])
    systems = benchmark["splits"][split]["systems"]
    mrr = {name: systems[name]["metrics"]["MRR@10"] for name in SYSTEMS}
    ms = {name: systems[name]["ms_per_query"] for name in SYSTEMS}
    student, teacher = percent(mrr["student"]), percent(mrr["teacher"])
    reached = (
        f"{mrr['student'] / mrr['teacher']:.0%} of the teacher's MRR@10 "
        f"({student} against {teacher})"
        if mrr["teacher"]
        else f"{student} in MRR@10, the teacher {teacher},"
    )
    return (
        f"On {split.replace('_', ' ')}, the student reaches {reached} and answers "
        f"{_speed(ms['student'], ms['teacher'])}. The bi-encoder reaches "
        f"{percent(mrr['bi_encoder'])}, BM25 {percent(mrr['bm25'])}."
    )


def comparison(row: Mapping[str, Any]) -> str:
    """One paired test: "student below teacher by 1.2 points, p = 0.03"."""
    a, b = (SYSTEM_LABELS.get(row[side], row[side]) for side in ("a", "b"))
    points = 100 * row["difference"]
    if round(points, 1) == 0:
        words = f"{a} level with {b}"
    else:
        words = f"{a} {'above' if points > 0 else 'below'} {b} by {abs(points):.1f} points"
    plain = p_value(row["p_value"])
    corrected = plain if row.get("p_value_holm") is None else p_value(row["p_value_holm"])
    words += f", {plain}" + (f" (corrected {corrected})" if corrected != plain else "")
    return words


def is_clear(row: Mapping[str, Any]) -> bool:
    """Whether a difference is significant at 5%, corrected where a correction is given."""
    corrected = row.get("p_value_holm")
    return float(row["p_value"] if corrected is None else corrected) < 0.05


def percent(value: float) -> str:
    """A share in percent with one decimal, without the sign."""
    return f"{100 * value:.1f}"


def milliseconds(value: float) -> str:
    """A duration at three significant digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def points(value: float) -> str:
    """A difference of shares in percentage points, with its sign."""
    return f"{100 * value:+.1f}".replace("-", "−")


def reranking(split: str, curve: Sequence[Mapping[str, Any]]) -> str:
    """Whether two-stage answers are worth their time on a split; see `schema.TwoStageCurve`."""
    where, alone = split.replace("_", " "), point_of(curve, "never")
    asking = [p for role in ("auto", "always") if "gain" in (p := point_of(curve, role))]
    clear = [p for p in asking if p["gain_interval"][0] > 0]
    if clear:
        # The cheaper one where both gain as much.
        best = max(clear, key=lambda p: (round(p["gain"], 3), -p["ms"]))
        return f"On {where}, reranking {_gained(best, alone, 'pays')}"
    harm = [p for p in asking if p["gain_interval"][1] < 0]
    if harm:
        worst = min(harm, key=lambda p: float(p["gain"]))
        return f"On {where}, reranking {_gained(worst, alone, 'does harm')}"
    return f"On {where}, reranking {_gained(asking[-1], alone, 'brings no clear gain')}"


def _gained(point: Mapping[str, Any], alone: Mapping[str, Any], verdict: str) -> str:
    """What one way of asking gains in MRR@10 and takes in time."""
    share = f"{point['share']:.0%} of the queries (auto)"
    asked = "every query" if point["role"] == "always" else share
    low, high = (points(value) for value in point["gain_interval"])
    return (
        f"{asked} {verdict}: {points(point['gain'])} points of MRR@10 ({low} to {high}) for "
        f"{milliseconds(point['ms'] - alone['ms'])} ms more per query"
    )


def p_value(value: float) -> str:
    """A p-value, not more exact than its resamples allow."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"


def summary_table(benchmark: Mapping[str, Any]) -> str:
    """Systems per split for the terminal: metrics in percent, milliseconds per query."""
    lines = []
    for name, split in benchmark["splits"].items():
        queries = max(result["queries"] for result in split["systems"].values())
        systems = in_order(split["systems"])
        width = 1 + max(len(SYSTEM_LABELS[system]) for system in systems)
        heads = "".join(f"{metric:>9}" for metric in METRICS)
        lines += [f"{name} ({queries} queries)", f"  {'percent':<{width}}{heads}{'ms/query':>11}"]
        for system in systems:
            result = split["systems"][system]
            cells = "".join(f"{percent(result['metrics'][metric]):>9}" for metric in METRICS)
            time = milliseconds(result["ms_per_query"])
            lines.append(f"  {SYSTEM_LABELS[system]:<{width}}{cells}{time:>11}")
        if count := (benchmark["dataset"].get("left_out") or {}).get(name):
            lines.append(f"  own or excluded documents are left out of {count} rankings")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _speed(student: float, teacher: float) -> str:
    times = f"in {milliseconds(student)} ms instead of {milliseconds(teacher)} ms"
    ratio = teacher / student
    if ratio >= 1.05:
        return (
            f"{times} ({ratio:.0f} times as fast)"
            if ratio >= 10
            else (f"{times} ({ratio:.1f} times as fast)")
        )
    return f"{times} (no faster on this small pool)"
