"""Twelve versions of a data set: queries arrive, the corpus grows; two of them are damaged."""

import hashlib
import shutil
from pathlib import Path

from rabtriever_core.data.dataset import Dataset, read_dataset, write_dataset

MONTHS = 12
DAMAGED = {4: "no judgement of dev is left", 8: "a file is cut in the middle of a line"}


def version(dataset: Dataset, month: int) -> Dataset:
    """What there is in a month: k/12 of the training queries, and (12 + k)/24 of the corpus.

    By hash of the ids, so that a version holds all that the one before held. Queries whose right
    documents have not come yet have not come either.
    """
    here = {d.id for d in dataset.documents if _share(d.id) <= (MONTHS + month) / (2 * MONTHS)}
    qrels = {
        split: {
            query: kept
            for query, labels in rows.items()
            if (split != "train" or _share(query) <= month / MONTHS)
            and (kept := {d: label for d, label in labels.items() if d in here})
            and any(label > 0 for label in kept.values())
        }
        for split, rows in dataset.qrels.items()
    }
    asked = {query for rows in qrels.values() for query in rows}
    return Dataset(
        dataset.name,
        tuple(d for d in dataset.documents if d.id in here),
        {query: text for query, text in dataset.queries.items() if query in asked},
        qrels,
    )


def write_versions(source: Path, folder: Path) -> list[Path]:
    """Write all versions as BEIR folders `month-<k>/<name>`, the damaged ones damaged."""
    dataset = read_dataset(source, source.name)
    written = []
    for month in range(1, MONTHS + 1):
        target = folder / f"month-{month:02d}" / source.name
        shutil.rmtree(target, ignore_errors=True)
        write_dataset(version(dataset, month), target)
        if month == 4:
            (target / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\n")
        if month == 8:
            corpus = (target / "corpus.jsonl").read_bytes()
            (target / "corpus.jsonl").write_bytes(corpus[: len(corpus) // 3])
        written.append(target)
    return written


def _share(id_: str) -> float:
    """A number in (0, 1] that belongs to an id for good."""
    return (int(hashlib.sha256(id_.encode()).hexdigest()[:8], 16) + 1) / 2**32
