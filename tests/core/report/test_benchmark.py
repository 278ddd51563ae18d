"""The page: self-contained, escaped, and saying what the numbers say."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from rabtriever_core.evaluation.schema import SYSTEM_LABELS, SYSTEMS
from rabtriever_core.report.benchmark import write_report
from rabtriever_core.report.wording import comparison, headline, p_value, summary_table

HOSTILE = "<script src='https://evil.example/x.js'>alert(1)</script>"
IMAGE = '"><img src=x onerror=alert(1)>'


def _examples() -> list[dict[str, Any]]:
    shown = [{"title": HOSTILE, "text": IMAGE, "right": True}]
    return [
        {
            "split": "test",
            "query": f"{HOSTILE} {IMAGE}",
            "outcome": outcome,
            "right": [HOSTILE],
            "systems": {name: shown for name in SYSTEMS},
        }
        for outcome in ("won", "lost")
    ]


class _Page(HTMLParser):
    """Collects tags with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.fixture
def page(benchmark: dict[str, Any], tmp_path: Path) -> str:
    plot = tmp_path / "quality.png"
    plot.write_bytes(b"\x89PNG, or so")
    benchmark["dataset"]["name"] = HOSTILE
    path = write_report(benchmark, {f"Quality {HOSTILE}": plot}, _examples(), tmp_path)
    assert path == tmp_path / "benchmark.html"
    return path.read_text(encoding="utf-8")


def test_hostile_text_stays_text(page: str) -> None:
    tags = _Page(page).tags
    assert not [tag for tag, _ in tags if tag in ("script", "iframe", "link", "object")]
    assert not [a for _, a in tags if any(name.startswith("on") for name in a)]
    assert "&lt;script src=" in page


def test_page_asks_for_nothing_outside(page: str) -> None:
    addresses = [a[name] for _, a in _Page(page).tags for name in ("src", "href") if name in a]
    assert addresses
    assert all(str(address).startswith("data:image/png;base64,") for address in addresses)
    assert "url(" not in page
    assert "@import" not in page
    assert "http" not in re.sub(r"https://evil\.example", "", page)


def test_page_is_accessible(page: str) -> None:
    tags = _Page(page).tags
    names = [tag for tag, _ in tags]
    assert names.count("h1") == 1
    assert ("html", {"lang": "en"}) in tags
    assert all(a.get("alt") for tag, a in tags if tag == "img")
    assert all(a.get("scope") in ("col", "row") for tag, a in tags if tag == "th")
    assert names.count("caption") == names.count("table") == 2
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page


def test_page_and_json_have_the_same_numbers(page: str, tmp_path: Path) -> None:
    written = json.loads((tmp_path / "benchmark.json").read_text(encoding="utf-8"))
    assert written["splits"]["test"]["systems"]["teacher"]["metrics"]["MRR@10"] == 0.84
    assert "<strong>84.0</strong>" in page
    assert "<strong>81.0</strong>" not in page
    assert "Student below Teacher by 3.0 points, p = 0.03" in page
    assert "HNSW not measured: not installed" in page
    assert page.count("✓ right") == 2 * len(SYSTEMS)


def test_broken_numbers_write_nothing(benchmark: dict[str, Any], tmp_path: Path) -> None:
    del benchmark["seconds"]
    with pytest.raises(ValidationError):
        write_report(benchmark, {}, [], tmp_path)
    assert not list(tmp_path.iterdir())


def test_report_without_extras(benchmark: dict[str, Any], tmp_path: Path) -> None:
    benchmark |= {"teacher_candidates": 100}
    del benchmark["response_time"]
    for split in benchmark["splits"].values():
        split["comparisons"] = []
    page = write_report(benchmark, {}, [], tmp_path).read_text(encoding="utf-8")
    assert "ranked the student's best\n100 documents" in page
    assert "Examples" not in page


def test_headline(benchmark: dict[str, Any]) -> None:
    assert headline(benchmark) == (
        "On test, the student reaches 96% of the teacher's MRR@10 (81.0 against 84.0) and "
        "answers in 4.6 ms instead of 212 ms (46 times as fast). The bi-encoder reaches 60.0, "
        "BM25 6.0."
    )
    systems = benchmark["splits"]["test"]["systems"]
    systems["student"]["ms_per_query"] = 300.0
    assert "no faster on this small pool" in headline(benchmark)
    systems["teacher"]["metrics"]["MRR@10"] = 0.0
    assert "reaches 81.0 in MRR@10, the teacher 0.0" in headline(benchmark)


@pytest.mark.parametrize(
    ("difference", "p", "holm", "words"),
    [
        (-0.012, 0.03, None, "Student below Teacher by 1.2 points, p = 0.03"),
        (0.012, 0.03, 0.06, "Student above Teacher by 1.2 points, p = 0.03 (corrected p = 0.06)"),
        (0.0001, 1.0, 1.0, "Student level with Teacher, p = 1"),
    ],
)
def test_comparison_in_words(difference: float, p: float, holm: float | None, words: str) -> None:
    row = {"a": "student", "b": "teacher", "difference": difference, "p_value": p}
    assert comparison(row if holm is None else row | {"p_value_holm": holm}) == words


def test_small_p_values_claim_no_more_than_they_can() -> None:
    assert p_value(1e-4) == "p < 0.001"


def test_summary_table(benchmark: dict[str, Any]) -> None:
    table = summary_table(benchmark)
    lines = table.splitlines()
    assert lines[0] == "dev (120 queries)"
    student = next(line for line in lines if line.startswith("  Student"))
    assert student.split() == ["Student", "66.4", "69.7", "72.9", "81.0", "81.0", "81.0", "4.6"]
    assert len({len(line) for line in lines if line.startswith("  ")}) == 1


def test_further_systems_and_budgets(with_all_systems: dict[str, Any], tmp_path: Path) -> None:
    page = write_report(with_all_systems, {}, [], tmp_path).read_text(encoding="utf-8")
    for label in SYSTEM_LABELS.values():
        assert page.count(f'<th scope="row">{label}</th>') >= 2
    assert page.count('<th scope="row">MiniLM, untuned</th>') == 2  # not trained
    assert page.count("<td>43,200</td>") == 7
    assert "Popularity does not read the query" in page
    assert "cosine alone reads query and document apart" in page
    assert page.count("<td>not run here</td>") == 1
    written = json.loads((tmp_path / "benchmark.json").read_text(encoding="utf-8"))
    assert written["training"]["kl_bi_encoder"]["seconds"] == 61.25
    lines = summary_table(with_all_systems).splitlines()
    assert len({len(line) for line in lines if line.startswith("  ")}) == 1
    order = [line.split("  ")[1] for line in lines if line.startswith("  ")]
    assert order[2:5] == ["BM25", "MiniLM, untuned", "Bi-encoder"]
    assert [name.strip() for name in order[9:12]] == [
        "Teacher, cosine alone",
        "Teacher",
        "Student",
    ]


def test_large_pools_are_ranked_by_all_rerankers_alike(
    with_all_systems: dict[str, Any], tmp_path: Path
) -> None:
    with_all_systems["teacher_candidates"] = 100
    page = write_report(with_all_systems, {}, [], tmp_path).read_text(encoding="utf-8")
    assert "too large for rerankers: they ranked the student's best" in page
    assert "ranks the\nsame documents as the teacher" in page
