"""Whatever is empty, validation says what is wrong, and leaves what can be read and compared."""

from __future__ import annotations

import itertools
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rabtriever_core.config import ChangesConfig, DatasetConfig, ValidationConfig
from rabtriever_core.data.change_suite import check_changes
from rabtriever_core.data.changes import compare
from rabtriever_core.data.dataset import read_dataset
from rabtriever_core.data.feedback import FEEDBACK
from rabtriever_core.data.profile import Profile
from rabtriever_core.data.validation import validate_dataset
from tests.core.data.authored import clean_rows, write

FILES = (
    "corpus.jsonl",
    "queries.jsonl",
    "qrels/train.tsv",
    "qrels/dev.tsv",
    "qrels/test.tsv",
    FEEDBACK,
)
HEADER = "query-id\tcorpus-id\tscore\n"
JUDGED = {"query": "brand new", "document_id": "d1", "label": 1}
WAYS = ("whole", "empty", "blank", "header only", "all broken")


def made(folder: Path, ways: dict[str, str]) -> Path:
    raw = write(folder, *clean_rows())
    (raw / FEEDBACK).write_text(json.dumps(JUDGED) + "\n")
    for file, way in ways.items():
        tsv = file.endswith(".tsv")
        broken = (
            f"{HEADER}nobody\tnothing\tyes\n" if tsv else '{"text": ""}\n{"_id": [], "text": 1}\n'
        )
        text = {
            "empty": "",
            "blank": " \n\n",
            "header only": HEADER if tsv else "\ufeff",
            "all broken": broken,
        }
        if way != "whole":
            (raw / file).write_text(text[way], encoding="utf-8")
    return raw


def check(home: Path, ways: dict[str, str]) -> None:
    outcome = validate_dataset(
        made(home / "raw", ways), home / "out", DatasetConfig(), ValidationConfig()
    )
    needed = [file for file in FILES if file != FEEDBACK and ways.get(file, "whole") != "whole"]
    assert outcome.passed == (not needed)
    assert set(outcome.findings) == set(outcome.broken)
    assert all(outcome.findings.values())
    if "corpus.jsonl" in needed:
        assert outcome.findings["enough_documents"] == "found 0"
    records = json.loads((home / "out" / "validation.json").read_text("utf-8"))
    (rule,) = (record for record in records if record["name"] == "splits_not_empty")
    # Without documents or queries no judgement holds; else the empty files are named.
    emptied = FILES[2:5] if {"corpus.jsonl", "queries.jsonl"} & set(needed) else needed
    splits = sorted(Path(file).stem for file in emptied)
    if "train" in splits:
        assert "enough_training_queries" in outcome.broken
        if not {"corpus.jsonl", FEEDBACK} & {file for file, way in ways.items() if way != "whole"}:
            splits.remove("train")  # the feedback's judgement is left
    assert rule["examples"] == [f"{split}: no judgement is left" for split in splits]
    assert ("splits_not_empty" in outcome.broken) == bool(splits)
    dataset = read_dataset(home / "out")
    assert len(dataset.documents) == outcome.rows_left["corpus.jsonl"]
    lines = (home / "out" / "quarantine.jsonl").read_text("utf-8").split("\n")[:-1]
    assert len(lines) == sum(outcome.quarantined.values())
    assert all(json.loads(line)["reasons"] for line in lines)
    whole = read_dataset(write(home / "whole", *clean_rows()))
    now, before = Profile.of(dataset, "train"), Profile.of(whole, "train")
    for a, b, version in ((before, now, dataset), (now, before, whole)):
        changes = compare(a, b, version, "train")
        assert check_changes(changes, None, version, "train", ChangesConfig())


@pytest.mark.parametrize("way", ["empty", "all broken"])
@pytest.mark.parametrize("file", FILES)
def test_one_file(tmp_path: Path, file: str, way: str) -> None:
    check(tmp_path, {file: way})


@pytest.mark.parametrize("way", WAYS[1:])
def test_all_files(tmp_path: Path, way: str) -> None:
    check(tmp_path, dict.fromkeys(FILES, way))


@pytest.mark.slow
@pytest.mark.parametrize("count", range(2, len(FILES)))
def test_any_files_together(tmp_path: Path, count: int) -> None:
    for number, files in enumerate(itertools.combinations(FILES, count)):
        check(tmp_path / str(number), dict.fromkeys(files, "empty"))


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.fixed_dictionaries({file: st.sampled_from(WAYS) for file in FILES}))
def test_any_files_in_any_way(ways: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as home:
        check(Path(home), ways)
