"""Pages on what was found in the data: every rule, and the rows that left; self-contained."""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rabtriever_core.data.findings import QUARANTINE
from rabtriever_core.report.page import page_environment
from rabtriever_core.report.plot_style import data_uri
from rabtriever_core.workspace.atomic import write_text
from rabtriever_core.workspace.encodable import encodable

SHOWN_ROWS = 500
"""Quarantined rows on the page; the file has them all."""
_SHOWN_CHARACTERS = 300

TABLES = {
    "corpus": "Documents, row by row",
    "queries": "Queries, row by row",
    "judgements": "Judgements, row by row",
    "splits": "Judgements, across splits and within one",
    "clean_corpus": "Documents that stay",
    "clean_queries": "Queries that stay",
    "needed_splits": "Splits that there must be",
    "clean_splits": "Splits, as they stay",
    "reading": "How rows are written",
    "files": "Quarantined share of each file",
    "feedback": "Quarantined share of the feedback",
    "changes": "Figures, against the version before",
    "training_queries": "Training queries, against the version before",
}
"""Table that rules are checked on → its heading."""

SETTINGS = {
    "document_length": "validation.max_document_characters",
    "query_length": "validation.max_query_characters",
    "judgement_label_allowed": "validation.labels",
    "query_not_repeated": "validation.duplicate_queries",
    "enough_documents": "validation.min_documents",
    "enough_training_queries": "validation.min_train_queries",
    "quarantined_share": "validation.max_quarantined_share",
    "feedback_usable": "validation.max_quarantined_share",
    "removed_rows": "validation.changes.max_removed_share",
    "lengths_alike": "validation.changes.max_length_drift",
    "words_alike": "validation.changes.max_word_drift",
    "words_known": "validation.changes.max_unseen_share",
    "labels_alike": "validation.changes.max_label_drift",
    "answers_alike": "validation.changes.max_label_drift",
    "scores_alike": "validation.changes.max_score_drift",
    "test_queries_stay_unseen": "validation.changes.leaked_queries",
}
"""Rule → the setting that says how strict it is."""


def write_validation_page(folder: Path, metrics: Mapping[str, Any], name: str, path: Path) -> None:
    """Write the page on a validated data set, as its artifact has it.

    Args:
        folder: the artifact of the stage validated_dataset.
        metrics: its metrics.
        name: of the data set.
        path: where the page goes; its folder is the workspace.
    """
    quarantine = folder / QUARANTINE
    left = {file: metrics["quarantined"].get(file, 0) for file in metrics["rows"]}
    with quarantine.open(encoding="utf-8") as file:
        shown = [json.loads(line) for line in itertools.islice(file, SHOWN_ROWS)]
    _write(
        path,
        title=f"Validation of {name}",
        headline=_verdict(metrics),
        fit=metrics["passed"],
        rules=json.loads((folder / "validation.json").read_text(encoding="utf-8")),
        files=[
            (file, rows, left[file], rows - left[file]) for file, rows in metrics["rows"].items()
        ],
        reasons=metrics["reasons"],
        read_as=metrics.get("read_as", ()),
        quarantined=[_row(row) for row in shown],
        quarantined_rows=sum(left.values()),
        quarantine=quarantine.relative_to(path.parent).as_posix(),
        plot=None,
    )


def write_changes_page(
    title: str, rules: Sequence[Mapping[str, Any]], plot: Path, path: Path
) -> None:
    """Write the page on a version of the data against the one before.

    Args:
        title: which version against which.
        rules: what checking each rule found, as `RuleResult.record` has it.
        plot: PNG file; inlined.
        path: where the page goes.
    """
    stops = [rule["name"] for rule in rules if _effect(rule) == "stops" and not rule["passed"]]
    warns = [rule["name"] for rule in rules if _effect(rule) == "warns" and not rule["passed"]]
    said = "It differs no more than the settings allow." if not warns else _noticed(warns)
    _write(
        path,
        title=title,
        headline=f"Nothing runs on this version: it breaks {', '.join(stops)}." if stops else said,
        fit=not stops,
        rules=rules,
        files=[],
        reasons={},
        read_as=(),
        quarantined=[],
        quarantined_rows=0,
        quarantine="",
        plot=data_uri(plot),
    )


def _write(path: Path, *, rules: Iterable[Mapping[str, Any]], **shown: Any) -> None:
    environment = page_environment({"effect": _effect})
    tables = {
        TABLES.get(table, table): list(found)
        for table, found in itertools.groupby(rules, key=lambda rule: rule["table"])
    }
    page = environment.get_template("findings.html.j2").render(
        tables=tables, settings=SETTINGS, **shown
    )
    write_text(path, encodable(page))


def _verdict(metrics: Mapping[str, Any]) -> str:
    if not metrics["passed"]:
        return f"Not fit for use: it breaks {', '.join(metrics['broken'])}. Nothing runs on it."
    rows, left = sum(metrics["rows"].values()), sum(metrics["quarantined"].values())
    stay = f"all {rows:,} rows stay" if not left else f"{rows - left:,} of {rows:,} rows stay"
    warnings = [warning.partition(":")[0] for warning in metrics["warnings"]]
    return f"Fit for use: {stay}." + (f" {_noticed(warnings)}" if warnings else "")


def _noticed(rules: Sequence[str]) -> str:
    return f"Only noticed: {', '.join(rules)}."


def _effect(rule: Mapping[str, Any]) -> str:
    """What a broken rule does."""
    if rule["severity"] == "warning":
        return "warns"
    return "quarantines" if rule["level"] == "row" else "stops"


def _row(line: Mapping[str, Any]) -> dict[str, Any]:
    text = json.dumps(line["row"], ensure_ascii=False)
    if len(text) > _SHOWN_CHARACTERS:
        text = f"{text[:_SHOWN_CHARACTERS]}…"
    return {"place": f"{line['file']}:{line['line']}", "reasons": line["reasons"], "row": text}
