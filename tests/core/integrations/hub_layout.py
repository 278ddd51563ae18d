"""Data sets in the layouts that mteb reads, written by hand."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from rabtriever_core.data.dataset import Dataset
from rabtriever_core.workspace.atomic import write_json_lines

Rows = Sequence[Mapping[str, Any]]


def write_task(dataset: Dataset, split: str, folder: Path) -> Path:
    """As mteb's own data sets lie on the hub: corpus, queries and judgements."""
    judged = dataset.qrels[split]
    corpus = [{"_id": d.id, "title": d.title, "text": d.text} for d in dataset.documents]
    queries = [{"_id": query, "text": dataset.queries[query]} for query in judged]
    qrels = [
        {"query-id": query, "corpus-id": document, "score": score}
        for query, labels in judged.items()
        for document, score in labels.items()
    ]
    configurations = {"corpus": corpus, "queries": queries, "default": qrels}
    return _write(folder, {name: {split: rows} for name, rows in configurations.items()})


def write_bright(
    dataset: Dataset, split: str, excluded: Mapping[str, Sequence[str]], folder: Path
) -> Path:
    """As BRIGHT lies there: every query with its right documents and those it leaves out."""
    documents = [{"id": d.id, "content": d.full_text} for d in dataset.documents]
    examples = [
        {
            "id": query,
            "query": dataset.queries[query],
            "gold_ids": sorted(labels),
            "excluded_ids": list(excluded.get(query, ["N/A"])),
        }
        for query, labels in dataset.qrels[split].items()
    ]
    return _write(folder, {"documents": {"biology": documents}, "examples": {"biology": examples}})


def _write(folder: Path, configurations: Mapping[str, Mapping[str, Rows]]) -> Path:
    named = []
    for name, splits in configurations.items():
        files = []
        for split, rows in splits.items():
            path = folder / name / f"{split}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json_lines(path, rows)
            files.append({"split": split, "path": f"{name}/{split}.jsonl"})
        named.append({"config_name": name, "data_files": files})
    (folder / "README.md").write_text(f"---\n{yaml.safe_dump({'configs': named})}---\n")
    return folder
