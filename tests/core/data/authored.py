"""A small clean data set, and writing its rows as a raw folder."""

import json
from pathlib import Path
from typing import Any

Rows = list[dict[str, Any]]


def clean_rows() -> tuple[Rows, Rows, dict[str, list[str]]]:
    documents = [{"_id": f"d{n}", "title": "", "text": f"document {n}"} for n in range(4)]
    asked = {"train": range(24), "dev": range(24, 27), "test": range(27, 30)}
    queries = [{"_id": f"q{n}", "text": f"question {n}"} for n in range(30)]
    qrels = {split: [f"q{n}\td{n % 4}\t1" for n in numbers] for split, numbers in asked.items()}
    return documents, queries, qrels


def write(folder: Path, documents: Rows, queries: Rows, qrels: dict[str, list[str]]) -> Path:
    (folder / "qrels").mkdir(parents=True)
    for name, rows in (("corpus", documents), ("queries", queries)):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    for split, lines_ in qrels.items():
        text = "\n".join(["query-id\tcorpus-id\tscore", *lines_]) + "\n"
        (folder / "qrels" / f"{split}.tsv").write_text(text, encoding="utf-8")
    return folder
