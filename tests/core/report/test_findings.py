"""The page on a data set's validation: readable alone, whatever the data hold."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rabtriever_core.config import ChangesConfig, Settings, ValidationConfig
from rabtriever_core.data import change_suite, set_suites, suites
from rabtriever_core.report.findings import (
    SETTINGS,
    SHOWN_ROWS,
    TABLES,
    write_changes_page,
    write_validation_page,
)
from rabtriever_core.stages import run_stage
from rabtriever_core.workspace import Workspace
from tests.core.data.authored import clean_rows, write
from tests.core.data.test_validation import messy_rows
from tests.core.serving.browsing import PHONE, chromium, opened

RULE: dict[str, Any] = {
    "name": "document_length",
    "table": "corpus",
    "level": "row",
    "severity": "error",
    "passed": False,
    "checked": 3,
    "broken": 1,
    "sentence": "No document has more than 60 characters.",
    "examples": ["corpus.jsonl:1: too long"],
}
METRICS: dict[str, Any] = {
    "passed": True,
    "broken": [],
    "rows": {"corpus.jsonl": 3},
    "quarantined": {"corpus.jsonl": 1},
    "reasons": {"document_length": 1},
    "warnings": [],
}


@pytest.fixture(scope="module")
def messy(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("messy")
    write(root / "raw", *messy_rows())
    (root / "params.yaml").write_text(
        "dataset: {demo: false, folder: raw, name: messy}\n"
        "validation: {max_quarantined_share: 0.65, max_document_characters: 60}\n"
    )
    workspace = Workspace.open(root)
    run_stage(workspace, "validated_dataset")
    return workspace


def test_every_table_rule_and_quarantined_row_is_shown(messy: Workspace) -> None:
    folder = messy.artifact("validated_dataset")
    page = messy.validation_page.read_text(encoding="utf-8")
    rules = json.loads((folder / "validation.json").read_text(encoding="utf-8"))
    for rule in rules:
        assert f'<code class="soft">{rule["name"]}</code>' in page
        assert f"<h3>{TABLES[rule['table']]}</h3>" in page
    rows = (folder / "quarantine.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 31
    for row in map(json.loads, rows):
        assert f'<th scope="row">{row["file"]}:{row["line"]}</th>' in page
    assert "too long: 61 characters, allowed are 60" in page
    assert "Fit for use: " in page
    assert "rows stay. Only noticed: " in page


def test_the_page_asks_nobody_links_only_what_is_there_and_shows_no_markup_of_the_data(
    messy: Workspace,
) -> None:
    """Opened in a browser whose every request is looked at."""
    page = messy.validation_page.read_text(encoding="utf-8")
    assert "<script" not in page
    assert not re.findall(r'(?:src|href)="(?!data:|#|artifacts/)', page)
    assert "url(" not in page
    assert "@import" not in page
    for linked in re.findall(r'href="([^"#]+)"', page):
        assert (messy.root / linked).is_file()
    for anchor in re.findall(r'href="#([^"]+)"', page):
        assert f'id="{anchor}"' in page
    address = messy.validation_page.as_uri()
    with chromium() as browser, opened(browser, address.rpartition("/")[0]) as shown:
        shown.goto(address)
        assert shown.get_by_role("heading", name="Validation of messy").is_visible()
        assert "&lt;script&gt;alert(2)" in page
        assert "<script>alert(2)</script>" in shown.inner_text("body")
        shown.set_viewport_size(PHONE)  # type: ignore[arg-type]
        width = shown.evaluate("document.documentElement.scrollWidth")
        assert width <= PHONE["width"]
        shown.get_by_role("link", name="quarantine.jsonl").click()
        assert shown.url.endswith("/artifacts/validated_dataset/quarantine.jsonl")


def test_it_is_written_again_where_it_was_lost_and_for_data_that_are_unfit(
    tmp_path: Path,
) -> None:
    documents, queries, qrels = clean_rows()
    write(tmp_path / "raw", documents, queries, qrels)
    (tmp_path / "params.yaml").write_text("dataset: {demo: false, folder: raw}\n")
    workspace = Workspace.open(tmp_path)
    run_stage(workspace, "validated_dataset")
    page = workspace.validation_page.read_text(encoding="utf-8")
    assert "Fit for use: all 64 rows stay." in page
    assert "Nothing has to be done." in page
    workspace.validation_page.unlink()
    assert run_stage(workspace, "validated_dataset").reused
    assert workspace.validation_page.read_text(encoding="utf-8") == page
    (tmp_path / "raw" / "qrels" / "dev.tsv").unlink()
    assert not run_stage(workspace, "validated_dataset").meta.metrics["passed"]
    page = workspace.validation_page.read_text(encoding="utf-8")
    assert "Not fit for use: it breaks splits_present. Nothing runs on it." in page
    assert 'class="headline unfit"' in page


@settings(max_examples=40, deadline=None)
@given(
    text=st.text(st.characters(), min_size=1),
    row=st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(st.characters()),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
        max_leaves=5,
    ),
)
def test_any_text_is_text(tmp_path_factory: pytest.TempPathFactory, text: str, row: object) -> None:
    root = tmp_path_factory.mktemp("any")
    line = {"file": "corpus.jsonl", "line": 1, "row": row, "reasons": [text]}
    (root / "artifact").mkdir()
    (root / "artifact" / "quarantine.jsonl").write_text(json.dumps(line) + "\n")
    rules = [RULE | {"examples": [text], "sentence": text}]
    (root / "artifact" / "validation.json").write_text(json.dumps(rules))
    write_validation_page(root / "artifact", METRICS, text, root / "validation.html")
    tags = set(re.findall(r"<(\w+)", (root / "validation.html").read_text(encoding="utf-8")))
    assert tags <= {
        *("html", "head", "meta", "title", "style", "body", "main", "header", "section"),
        *("h1", "h2", "h3", "p", "ul", "li", "a", "code", "div", "br", "bdi"),
        *("table", "thead", "tbody", "tr", "th", "td"),
    }


def test_of_many_quarantined_rows_the_first_are_shown(tmp_path: Path) -> None:
    count = SHOWN_ROWS + 7
    metrics = METRICS | {
        "rows": {"corpus.jsonl": 2 * count},
        "quarantined": {"corpus.jsonl": count},
        "reasons": {"document_length": count},
    }
    lines = [
        json.dumps(
            {"file": "corpus.jsonl", "line": n, "row": {"text": "x" * 999}, "reasons": ["too long"]}
        )
        for n in range(count)
    ]
    (tmp_path / "artifact").mkdir()
    (tmp_path / "artifact" / "quarantine.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "artifact" / "validation.json").write_text(json.dumps([RULE]))
    write_validation_page(tmp_path / "artifact", metrics, "many", tmp_path / "validation.html")
    page = (tmp_path / "validation.html").read_text(encoding="utf-8")
    assert page.count('<th scope="row">corpus.jsonl:') == SHOWN_ROWS
    assert f"The first {SHOWN_ROWS} are shown." in page
    assert "validation.max_document_characters" in page
    assert "x" * 301 not in page


def test_changes_say_what_they_break(tmp_path: Path) -> None:
    (tmp_path / "changes.png").write_bytes(b"\x89PNG")
    removed = {"name": "removed_rows", "table": "changes", "level": "set"}
    drift = {"name": "words_alike", "table": "changes", "level": "set", "severity": "warning"}

    def page(*rules: dict[str, Any]) -> str:
        path = tmp_path / "changes.html"
        write_changes_page("demo against 0001-abc", rules, tmp_path / "changes.png", path)
        return path.read_text(encoding="utf-8")

    assert "no more than the settings allow" in page(RULE | removed | {"passed": True})
    assert "Only noticed: words_alike." in page(RULE | drift)
    stopped = page(RULE | removed, RULE | drift)
    assert "Nothing runs on this version: it breaks removed_rows." in stopped
    assert "validation.changes.max_removed_share" in stopped
    assert 'src="data:image/png;base64,' in stopped


def test_headings_and_settings_are_of_rules_and_settings_that_exist() -> None:
    config, changes = ValidationConfig(), ChangesConfig()
    dataset = Settings().dataset
    rules = [
        *suites.corpus_suite(config),
        *suites.query_suite(config),
        *suites.judgement_suite(config),
        *suites.split_suite(config),
        *set_suites.document_suite(config),
        *set_suites.split_set_suite(dataset, config),
        *set_suites.file_suite(config),
        *set_suites.feedback_suite(config),
        *change_suite.change_suite(changes, with_scores=True),
        *change_suite.leak_suite(changes),
    ]
    assert set(SETTINGS) <= {rule.name for rule in rules}
    for setting in SETTINGS.values():
        value: Any = Settings()
        for name in setting.split("."):
            value = getattr(value, name)
