"""Every query that people read in the documents is among those that a release is asked."""

import re

import pytest

from rabtriever_core.data.demo.examples import EXAMPLES
from tests.documentation.blocks import ROOT
from tests.understanding.__main__ import sentences

PAGES = (
    "README.md",
    "docs/quickstart.md",
    "docs/how-to/querying.md",
)
PRINTED = re.compile(
    r'rabtriever (?:query|explain) "([^"…]+)"|"query": "([^"]+)"|query = "([^"]+)"'
    r'|search\("([^"]+)"'
)


@pytest.mark.parametrize("page", PAGES)
def test_what_is_printed_is_asked(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    found = {next(filter(None, match)) for match in PRINTED.findall(text)}
    assert found
    asked = {row["say"] for row in sentences("printed")}
    assert found <= asked, f"add to sentences.yaml: {sorted(found - asked)}"


def test_examples_of_the_search_page_are_asked() -> None:
    asked = {row["say"] for row in sentences("printed")}
    assert set(EXAMPLES) and set(EXAMPLES) <= asked


def test_no_sentence_of_people_is_printed_or_said_twice() -> None:
    said = [row["say"] for row in sentences("support", "robot")]
    assert len(said) == len(set(said)) == 40
    assert not set(said) & {row["say"] for row in sentences("printed")}
