"""`rabtriever explain`: margins, places in both rankings, the best documents, what was cut."""

import json
from dataclasses import replace
from typing import Any

import pytest

from rabtriever_core.config import PromptConfig
from rabtriever_core.data.dataset import Document
from rabtriever_core.models.probability import Calibration
from rabtriever_core.models.prompt import Prompt
from rabtriever_core.models.templates import make_prompt
from rabtriever_core.releases.serving import OpenRelease
from rabtriever_core.serving import explanation
from rabtriever_core.serving.explanation import document_reading, query_reading
from rabtriever_core.workspace import Workspace
from tests.core.checkpoints import qwen3_tokenizer
from tests.core.cli.conftest import Rabtriever
from tests.core.small import small_backbone, small_dataset

PLACED = {"margin", "probability", "position", "looked_at", "best"}
SHOWN = {"document_id", "title", "text", "metadata"}


@pytest.fixture(scope="module")
def prompt() -> Prompt:
    return small_backbone(small_dataset()).prompt


@pytest.fixture(autouse=True)
def teacher(prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Likes documents by their number; a list of what it was given to read."""

    class Reader:
        class backbone:  # noqa: N801 - the attribute's name
            pass

    Reader.backbone.prompt = prompt  # type: ignore[attr-defined]
    read: list[str] = []

    def margins(_: object, query: str, documents: Any) -> list[float]:
        read.extend(document.id for document in documents)
        return [float(document.id[1:]) - 10 for document in documents]

    monkeypatch.setattr(OpenRelease, "reranker", Reader)
    monkeypatch.setattr(OpenRelease, "teacher_margins", margins)
    return read


def explained(result: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_the_object(rabtriever: Rabtriever, released: Workspace) -> None:
    found = explained(rabtriever("explain", "tell 7", "d7", "--json"))
    assert found.keys() == {
        *("query", "release", "document", "probability", "threshold", "fits", "documents"),
        *("student", "teacher", "read"),
    }
    assert found["student"].keys() == found["teacher"].keys() == PLACED
    assert found["student"]["best"].keys() == SHOWN | {"margin"}
    expected = {"document_id": "d7", "title": "", "text": "tale 7"}
    assert found["document"] == expected | {"metadata": {"year": 2007, "lang": "de"}}
    assert found["read"].keys() == {"query", "document"}
    assert found["read"]["query"].keys() == {"tokens", "limit", "cut"}
    assert found["teacher"]["margin"] == -3
    fitted = Calibration.load(released.artifact("calibration"))
    expected = float(fitted.teacher_probabilities(-3.0))
    assert found["teacher"]["probability"] == pytest.approx(expected, rel=1e-6)
    own = float(fitted.probabilities(found["student"]["margin"]))
    assert found["student"]["probability"] == pytest.approx(own, rel=1e-6)
    assert found["probability"] == pytest.approx(own, rel=1e-6)


def test_places_are_those_of_the_ranking(rabtriever: Rabtriever) -> None:
    options = ("-k", 24, "--min-probability", 0, "--json")
    hits = explained(rabtriever("query", "tell 7", *options))["hits"]
    for place in (1, 2, 24):
        hit = hits[place - 1]
        found = explained(rabtriever("explain", "tell 7", hit["document_id"], "--json"))
        student = found["student"]
        assert (student["position"], student["looked_at"]) == (place, 24)
        assert student["margin"] == pytest.approx(hit["margin"], abs=1e-6)
        assert found["probability"] == pytest.approx(hit["probability"], abs=1e-6)
        assert student["best"]["document_id"] == hits[0]["document_id"] == "d7"
        number = int(hit["document_id"][1:])
        assert (found["teacher"]["position"], found["teacher"]["looked_at"]) == (24 - number, 24)
        assert found["teacher"]["best"]["document_id"] == "d23"


def test_the_teacher_reads_the_first_ones_and_the_document(
    rabtriever: Rabtriever, teacher: list[str]
) -> None:
    hits = explained(rabtriever("query", "tell 7", "-k", 24, "--min-probability", 0, "--json"))
    ids = [hit["document_id"] for hit in hits["hits"]]
    found = explained(rabtriever("explain", "tell 7", ids[20], "--depth", 3, "--json"))
    assert sorted(teacher) == sorted([*ids[:3], ids[20]])
    assert found["teacher"]["looked_at"] == 4
    teacher.clear()
    found = explained(rabtriever("explain", "tell 7", ids[1], "--depth", 3, "--json"))
    assert sorted(teacher) == sorted(ids[:3]), "it is one of them"
    assert found["teacher"]["looked_at"] == 3


def test_beyond_what_is_looked_at(rabtriever: Rabtriever, monkeypatch: pytest.MonkeyPatch) -> None:
    hits = explained(rabtriever("query", "tell 7", "-k", 24, "--min-probability", 0, "--json"))
    monkeypatch.setattr(explanation, "SEARCHED", 5)
    beyond = ("explain", "tell 7", hits["hits"][9]["document_id"], "--depth", 3)
    found = explained(rabtriever(*beyond, "--json"))
    assert found["student"]["position"] is None
    assert found["student"]["margin"] == pytest.approx(hits["hits"][9]["margin"], abs=1e-6)
    assert "> 5 of 24 documents" in rabtriever(*beyond).stdout


def test_as_text(rabtriever: Rabtriever) -> None:
    lines = rabtriever("explain", "tell 7", "d7").stdout.splitlines()
    assert lines[0].startswith("document d7, release 0001-")
    (student,) = (line for line in lines if line.startswith("student "))
    assert student.split()[3:] == ["1", "of", "24", "documents"]
    (teacher,) = (line for line in lines if line.startswith("teacher "))
    assert teacher.endswith("17 of the 24 it read: the student's first, and this one")
    assert any(line.startswith("student's best:") and "(this document)" in line for line in lines)
    assert any(line.startswith("teacher's best: 13.000  d23  tale 23") for line in lines)
    assert "tokens, all read" in lines[-1]


def test_what_cannot_be_explained(rabtriever: Rabtriever) -> None:
    unknown = rabtriever("explain", "tell 7", "nowhere", code=2)
    assert "not in the served collection: 'nowhere'" in unknown.stderr
    rabtriever("explain", " ", "d7", code=2)
    rabtriever("explain", "tell 7", "d7", "--depth", 0, code=2)


def test_a_query_is_cut_at_its_start_and_a_document_at_its_end(prompt: Prompt) -> None:
    limits = {"max_query_tokens": 4, "max_document_tokens": 5}
    short = Prompt(replace(prompt.spec, **limits), prompt.tokenizer)
    text = "the grandmother listens and names the loss in the office"
    whole = query_reading(prompt, text)
    assert (whole.cut, whole.limit) == ("", prompt.spec.max_query_tokens)
    read = query_reading(short, text)
    assert (read.tokens, read.limit) == (whole.tokens, 4)
    kept = len(short.queries([text])[0]) - len(short.queries([""])[0])
    assert kept == 4
    assert text.startswith(read.cut)
    document = document_reading(short, Document("d", text, "title"))
    assert document.tokens > document.limit == 5
    assert f"title: {text}".endswith(document.cut)
    assert document_reading(prompt, Document("d", text)).cut == ""


def test_a_text_of_exactly_the_limit_is_whole(prompt: Prompt) -> None:
    text = "the grandmother listens"
    tokens = query_reading(prompt, text).tokens
    exact = Prompt(replace(prompt.spec, max_query_tokens=tokens), prompt.tokenizer)
    assert query_reading(exact, text).cut == ""
    less = Prompt(replace(prompt.spec, max_query_tokens=tokens - 1), prompt.tokenizer)
    assert query_reading(less, text).cut != ""


@pytest.mark.parametrize(
    "template", ["qwen3-reranker", "Text:\n{document}\nQuestion: {query}\nT or F:"]
)
def test_white_space_of_the_template_is_read_with_a_text(template: str) -> None:
    config = PromptConfig(template=template, max_document_tokens=6, max_query_tokens=6)
    short = make_prompt(qwen3_tokenizer(), config)
    read = query_reading(short, "is it calm? " * 9)
    assert (read.limit, read.tokens > 6) == (6, True)
    assert ("is it calm? " * 9).startswith(read.cut) and read.cut
    document = document_reading(short, Document("d", "a pause " * 9))
    assert ("a pause " * 9).strip().endswith(document.cut) and document.cut
    few = query_reading(short, "a"), document_reading(short, Document("d", "a"))
    assert [(reading.cut, reading.tokens <= 3) for reading in few] == [("", True)] * 2
