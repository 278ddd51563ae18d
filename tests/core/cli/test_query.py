"""`rabtriever query`: filters, several queries, reranking, JSON lines, exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rabtriever_core.cli.filters import read_filter
from rabtriever_core.errors import FilterError
from rabtriever_core.index.filters import qdrant_filter
from rabtriever_core.releases.serving import OpenRelease
from tests.core.any_text import any_text
from tests.core.cli.conftest import Rabtriever

HIT = {
    *("document_id", "title", "text", "margin", "probability", "fits", "metadata"),
    *("teacher_margin", "teacher_probability", "bm25"),
}


def asked(result: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_one_query_is_one_object(rabtriever: Rabtriever) -> None:
    (answer,) = asked(rabtriever("query", "tell 7", "-k", 2, "--min-probability", 0, "--json"))
    assert answer.keys() == {"query", "release", "reranked", "hits"}
    assert (answer["query"], answer["reranked"]) == ("tell 7", False)
    assert answer["release"].startswith("0001-")
    assert [hit.keys() for hit in answer["hits"]] == [HIT, HIT]
    assert answer["hits"][0]["document_id"] == "d7"
    assert answer["hits"][0]["metadata"] == {"year": 2007, "lang": "de"}
    assert answer["hits"][0]["fits"] is True


def test_several_queries_of_a_file_and_of_stdin(rabtriever: Rabtriever, tmp_path: Path) -> None:
    lines = [f"tell {i}" for i in (3, 4, 3)]
    file = tmp_path / "queries.txt"
    file.write_text("\n\n".join(lines) + "\n")
    options = ("-k", 1, "--min-probability", 0, "--json")
    answers = asked(rabtriever("query", "--queries", file, *options))
    assert [answer["query"] for answer in answers] == lines
    assert [answer["hits"][0]["document_id"] for answer in answers] == ["d3", "d4", "d3"]
    piped = rabtriever("query", "--queries", "-", *options, stdin=file.read_text())
    assert asked(piped) == answers
    shown = rabtriever("query", "--queries", file, "-k", 1, "--min-probability", 0).stdout
    assert [line for line in shown.splitlines() if line in lines] == lines


def test_exit_codes(rabtriever: Rabtriever, tmp_path: Path) -> None:
    rabtriever("query", "tell 7", "--min-probability", 0)
    rabtriever("query", "tell 7", "--min-probability", 1, code=1)
    nothing = rabtriever("query", "tell 7", "--filter", "lang=fr", code=1)
    assert "no document passes the filter" in nothing.stdout
    file = tmp_path / "queries.txt"
    file.write_text(" \n")
    for wrong in (
        ("query",),
        ("query", " "),
        ("query", "tell 7", "--queries", file),
        ("query", "--queries", file),
        ("query", "--queries", tmp_path / "none"),
        ("query", "tell 7", "--filter", "lang"),
        ("query", "tell 7", "--filter", '{"year": {"above": 7}}'),
    ):
        result = rabtriever(*wrong, code=2)
        assert result.stdout == ""


def test_filters_of_the_shell(rabtriever: Rabtriever) -> None:
    options = ("-k", 30, "--min-probability", 0, "--json")
    given = ("--filter", "lang=de", "--filter", '{"year": {"gte": 2010, "lt": 2014}}')
    (answer,) = asked(rabtriever("query", "tell 7", *given, *options))
    assert {hit["document_id"] for hit in answer["hits"]} == {"d11", "d13"}
    (answer,) = asked(rabtriever("query", "tell 7", "--filter", "year=2007", *options))
    assert [hit["document_id"] for hit in answer["hits"]] == ["d7"]


def test_values_are_json_where_they_parse() -> None:
    assert read_filter([]) is None
    given = ["lang=de", "year=2020", 'kind=["a","b"]', "open=true", "a=b=c", 'q="2020"', "none="]
    expected = {"lang": "de", "year": 2020, "kind": ["a", "b"], "open": True, "a": "b=c"}
    assert read_filter(given) == expected | {"q": "2020", "none": ""}
    assert read_filter(['{"year": {"gte": 1}, "lang": null}', "x=1"]) == {
        **{"year": {"gte": 1}, "lang": None},
        "x": 1,
    }
    for wrong in (["lang"], ["=de"], ["{"], ["lang=de", "lang=en"], ["lang=de", '{"lang": 1}']):
        with pytest.raises(FilterError, match="--filter"):
            read_filter(wrong)


SAID = st.sampled_from(["a", "a.b", "", "year", "document_id", "lang"]) | any_text
WANTED = any_text | st.sampled_from(
    ["[1, 1e999]", "NaN", '{"gte": 1}', "[[", '{"a": {}}', "9" * 99]
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.builds("{}={}".format, SAID, WANTED)
        | st.dictionaries(SAID, WANTED).map(json.dumps)
        | WANTED,
        min_size=1,
        max_size=3,
    )
)
@example(["a=" + "[" * 100_000])
@example(['{"a": ' + "[" * 100_000])
def test_whatever_is_said_is_a_filter_or_named(given_: list[str]) -> None:
    try:
        found = qdrant_filter(read_filter(given_))
    except FilterError as error:
        assert str(error)
        return
    assert found is None or found.model_dump_json()


def test_reranking_alone_always_and_auto(
    rabtriever: Rabtriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    def by_number(_: object, query: str, documents: Any) -> list[float]:
        return [float(document.id[1:]) for document in documents]

    monkeypatch.setattr(OpenRelease, "teacher_margins", by_number)
    options = ("-k", 3, "--min-probability", 0, "--json")
    (plain,) = asked(rabtriever("query", "tell 7", "--rerank", "never", *options))
    assert plain["reranked"] is False
    for words in (("--rerank", "tell 7"), ("tell 7", "--rerank"), ("--rerank", "always", "tell 7")):
        (answer,) = asked(rabtriever("query", *words, *options))
        assert answer["reranked"] is True
        margins = [hit["teacher_margin"] for hit in answer["hits"]]
        assert margins == sorted(margins, reverse=True)
        assert answer["hits"][0]["document_id"] != "d7"
    (auto,) = asked(rabtriever("query", "tell 7", "--rerank", "auto", *options))
    assert auto["reranked"] is (plain["hits"][0]["probability"] < 0.9)
    table = rabtriever("query", "tell 7", "--rerank", "--min-probability", 0).stdout
    assert table.splitlines()[0].split() == ["rank", "margin", "teacher", "probability", "document"]
    rabtriever("query", "tell 7", "--rerank=perhaps", code=2)


def test_a_document_that_fits_below_one_that_does_not(
    rabtriever: Rabtriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    def last(_: object, query: str, documents: Any) -> list[float]:
        return [float(i) for i, _ in enumerate(documents)]

    monkeypatch.setattr(OpenRelease, "teacher_margins", last)
    (plain,) = asked(rabtriever("query", "tell 7", "-k", 24, "--min-probability", 0, "--json"))
    best, second = (hit["probability"] for hit in plain["hits"][:2])
    options = ("-k", 24, "--min-probability", (best + second) / 2)
    shown = rabtriever("query", "tell 7", "--rerank", *options)
    assert "nothing here fits" not in shown.stdout
