"""Validation: broken rows go to quarantine, and a data set unfit for use is said to be so."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rabtriever_core.config import DatasetConfig, ValidationConfig
from rabtriever_core.data import set_suites
from rabtriever_core.data.dataset import Dataset, Document, Qrels, write_dataset
from rabtriever_core.data.expectations import ExpectationRun
from rabtriever_core.data.feedback import FEEDBACK
from rabtriever_core.data.findings import QUARANTINE
from rabtriever_core.data.overlap import normalised_texts
from rabtriever_core.data.profile import Profile
from rabtriever_core.data.quarantine import rows_per_file, write_quarantine
from rabtriever_core.data.raw import read_raw
from rabtriever_core.data.row_checks import check_rows
from rabtriever_core.data.rules import RuleResult
from rabtriever_core.data.set_suites import CleanTables
from rabtriever_core.workspace.atomic import write_json

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class ValidationOutcome:
    """What validation found."""

    passed: bool
    """No rule that stops the chain is broken."""
    broken: tuple[str, ...]
    """Names of the broken rules that stop the chain."""
    rows: dict[str, int]
    """File → rows read."""
    rows_left: dict[str, int]
    """File → rows after quarantine."""
    quarantined: dict[str, int]
    """File → quarantined rows."""
    reasons: dict[str, int]
    """Rule → rows quarantined for it."""
    examples: dict[str, str]
    """Rule → the first row quarantined for it: its place, and what is wrong."""
    warnings: tuple[str, ...]
    """What was found and left as it is."""
    queries: dict[str, int]
    """Split → queries with a relevant document."""
    findings: dict[str, str]
    """Broken rule that stops the chain → the first thing it found."""
    read_as: tuple[str, ...]
    """What was read otherwise than it is written, and how often."""
    feedback_lines: int = 0
    """Lines of feedback.jsonl that were there."""


def validate_dataset(
    folder: Path, output: Path, dataset: DatasetConfig, config: ValidationConfig
) -> ValidationOutcome:
    """Check a raw BEIR folder; write what is sound, the quarantine and the findings to `output`.

    `output` is a new or empty folder; the same input gives the same bytes in it.

    Raises:
        DatasetError: a file is missing or a line has not the shape of a row.
    """
    raw = read_raw(folder, dataset.train_split)
    run = ExpectationRun(dataset.name)
    clean, broken, results = check_rows(run, raw, dataset, config)
    # A row of feedback is a query and a judgement.
    tables = (raw.corpus, raw.queries, raw.judgements)
    counts = Counter(file for file, _ in {row for t in tables for row in _places(t)})
    rows = {file: counts[file] for file in raw.files}
    left_out = rows_per_file(broken)
    quarantined = {file: left_out.get(file, 0) for file in rows}
    results += _check_set(run, clean, dataset, config)
    reading = set_suites.reading_table(raw.noted)
    results += run.check("reading", reading, set_suites.reading_suite())
    own = {file: count for file, count in rows.items() if file != FEEDBACK}
    files = set_suites.file_table(own, quarantined)
    results += run.check("files", files, set_suites.file_suite(config))
    if FEEDBACK in rows:
        # Anybody's: however much of it is unfit, it stops nothing.
        given = set_suites.file_table({FEEDBACK: rows[FEEDBACK]}, quarantined)
        results += run.check("feedback", given, set_suites.feedback_suite(config))
    sound = _dataset(clean, dataset.name)
    write_dataset(sound, output)
    Profile.of(sound, dataset.train_split).save(output)
    write_quarantine(broken, output / QUARANTINE)
    write_json(output / "validation.json", [r.record() for r in results])
    splits = set_suites.split_table(clean, dataset, config)
    stopping = {result.rule.name: _finding(result) for result in results if result.stops}
    return ValidationOutcome(
        passed=not stopping,
        broken=tuple(stopping),
        rows=rows,
        rows_left={file: count - quarantined[file] for file, count in rows.items()},
        quarantined=quarantined,
        reasons=dict(Counter(row.rule for row in broken)),
        examples={
            row.rule: f"{row.file}:{row.line}: {row.reason:.300}" for row in reversed(broken)
        },
        warnings=tuple(_warning(r) for r in results if r.warns),
        queries=dict(zip(splits["split"], map(int, splits["queries"]), strict=True)),
        findings=stopping,
        read_as=tuple(reading["place"]),
        feedback_lines=raw.feedback_lines,
    )


def _places(table: "DataFrame") -> Iterable[tuple[str, int]]:
    return zip(table["file"], table["line"], strict=True)


def _check_set(
    run: ExpectationRun, clean: CleanTables, dataset: DatasetConfig, config: ValidationConfig
) -> list[RuleResult]:
    texts = normalised_texts(clean.queries)
    documents = set_suites.document_columns(clean)
    asked = set_suites.asked_columns(clean, texts, dataset.train_split)
    needed = set_suites.needed_table(clean, dataset)
    splits = set_suites.split_table(clean, dataset, config)
    return [
        *run.check("clean_corpus", documents, set_suites.document_suite(config)),
        *run.check("clean_queries", asked, set_suites.asked_suite()),
        *run.check("needed_splits", needed, set_suites.needed_suite(dataset)),
        *run.check("clean_splits", splits, set_suites.split_set_suite(dataset, config)),
    ]


def _dataset(clean: CleanTables, name: str) -> Dataset:
    columns = (clean.corpus[column] for column in ("id", "text", "title", "metadata"))
    qrels: dict[str, Qrels] = {split: {} for split in clean.splits}
    rows = (clean.judgements[column] for column in ("split", "query", "document", "label"))
    for split, query, document, label in zip(*rows, strict=True):
        qrels[split].setdefault(query, {})[document] = int(label)
    documents = tuple(Document(*row) for row in zip(*columns, strict=True))
    known = {document.id for document in documents}
    excluded = {
        query: tuple(id_ for id_ in ids if id_ in known)
        for query, ids in zip(clean.queries["id"], clean.queries["excluded"], strict=True)
    }
    return Dataset(
        name,
        documents,
        dict(zip(clean.queries["id"], clean.queries["text"], strict=True)),
        qrels,
        {query: ids for query, ids in excluded.items() if ids},
    )


def _finding(result: RuleResult) -> str:
    first = next(iter(result.examples), result.rule.sentence)
    more = len(result.broken) - 1
    return f"{first} (and {more} more)" if more > 0 else first


def _warning(result: RuleResult) -> str:
    return f"{result.rule.name}: {len(result.broken)} of {result.checked} rows in {result.table}"
