"""BM25 finds what shares words, and copes with what shares none."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rabtriever_core.data.dataset import Document
from rabtriever_core.models.bm25 import Bm25

DOCUMENTS = [
    Document("1", "Walk to the fridge and open its door.", "Go to the fridge"),
    Document("2", "Put the apple on the table.", "Put down an apple"),
    Document("3", "Name the feeling behind what was said.", "Reflection of feelings"),
]


def test_finds_the_obvious_document() -> None:
    scores = Bm25.fit(DOCUMENTS).scores(["open the fridge", "which feeling", "apples"])
    assert scores.shape == (3, 3)
    assert scores.dtype == np.float32
    # "apples" and "feeling" match by their stems.
    assert scores.argmax(axis=1).tolist() == [0, 2, 1]


@pytest.mark.parametrize("query", ["", "   ", "the of and", "zebra", "!?"])
def test_query_without_known_words_scores_zero(query: str) -> None:
    scores = Bm25.fit(DOCUMENTS).scores([query, "fridge"])
    assert not scores[0].any()
    assert scores[1].argmax() == 0


def test_no_queries() -> None:
    assert Bm25.fit(DOCUMENTS).scores([]).shape == (0, 3)


def test_repeatable_and_independent_of_the_other_queries() -> None:
    first = Bm25.fit(DOCUMENTS).scores(["fridge door", "apple"])
    again = Bm25.fit(DOCUMENTS)
    assert np.array_equal(first[1:], again.scores(["apple"]))
    assert np.array_equal(first, again.scores(["fridge door", "apple"]))


def test_documents_without_words() -> None:
    empty = Document("4", "", "")
    assert Bm25.fit([*DOCUMENTS, empty]).scores(["apple"])[0, 3] == 0
    assert not Bm25.fit([empty, Document("5", "the")]).scores(["apple"]).any()
    with pytest.raises(ValueError, match="no documents"):
        Bm25.fit([])


def test_is_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    Bm25.fit(DOCUMENTS).scores(["apple"])
    assert capfd.readouterr() == ("", "")


def test_leaves_jax_alone(tmp_path: Path) -> None:
    # bm25s would start it where it is installed, and jax would take most of a GPU's memory.
    (tmp_path / "jax").mkdir()
    (tmp_path / "jax" / "__init__.py").write_text("raise SystemExit('jax was loaded')\n")
    program = (
        "from rabtriever_core.data.dataset import Document\n"
        "from rabtriever_core.models.bm25 import Bm25\n"
        "print(Bm25.fit([Document('1', 'open the fridge')]).scores(['fridge']) > 0)\n"
        "import jax\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path.cwd())])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout.strip() == "[[ True]]", ran.stderr
    assert ran.stderr.strip() == "jax was loaded", "who asks for it afterwards has it"
