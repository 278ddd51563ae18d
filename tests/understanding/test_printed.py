"""Every query that people read in the documents is among those that a release is asked."""

import re

import pytest

from tests.documentation.blocks import ROOT
from tests.understanding.__main__ import sentences

PAGES = (
    "README.md",
    "docs/quickstart.md",
    "docs/how-to/querying.md",
    "rabtriever_core/serving/page/index.html",
)
PRINTED = re.compile(
    r'rabtriever (?:query|explain) "([^"…]+)"|"query": "([^"]+)"|query = "([^"]+)"'
    r'|search\("([^"]+)"|id="query"[^>]*placeholder="([^"]+)"'
)


@pytest.mark.parametrize("page", PAGES)
def test_what_is_printed_is_asked(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    found = {next(filter(None, match)) for match in PRINTED.findall(text)}
    assert found
    asked = {row["say"] for row in sentences("printed")}
    assert found <= asked, f"add to sentences.yaml: {sorted(found - asked)}"


def test_no_sentence_of_people_is_printed_or_said_twice() -> None:
    said = [row["say"] for row in sentences("support", "robot")]
    assert len(said) == len(set(said)) == 40
    assert not set(said) & {row["say"] for row in sentences("printed")}
