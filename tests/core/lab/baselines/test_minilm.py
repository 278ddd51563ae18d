"""MiniLM's weights from the package, against sentence-transformers; skipped without either."""

import numpy as np
import pytest

from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import ConfigError
from rabtriever_core.lab.baselines import minilm
from tests.core.small import RUNTIME

DOCUMENTS = [
    Document("1", "Fetch something cold to drink.", "Go to the fridge"),
    Document("2", "Suggest a pause and an early night."),
    Document("3", "Name the feeling behind what was said.", "Reflection of feelings"),
    Document("4", "calm voice " * 300),
]


@pytest.fixture(scope="module")
def encoder() -> minilm.MiniLm:
    pytest.importorskip(minilm.PACKAGE, reason="the extra `minilm` is not installed")
    return minilm.MiniLm.load(RUNTIME)


def test_finds_what_is_meant(encoder: minilm.MiniLm) -> None:
    queries = ["I would like a chilled lemonade", "I am so tired", "Put emotions into words"]
    cosines = encoder.encode_queries(queries) @ encoder.encode_documents(DOCUMENTS).T
    assert cosines.argmax(axis=1).tolist() == [0, 1, 2]


def test_vectors_are_those_of_sentence_transformers(encoder: minilm.MiniLm) -> None:
    library = pytest.importorskip("sentence_transformers")
    peer = library.SentenceTransformer(str(minilm.weights_folder()), device="cpu")
    vectors = encoder.encode_documents(DOCUMENTS)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    expected = peer.encode([document.full_text for document in DOCUMENTS])
    np.testing.assert_allclose(vectors, expected, atol=1e-5)


def test_missing_weights_say_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "PACKAGE", "no_such_package_anywhere")
    with pytest.raises(ConfigError, match=r"rabtriever\[minilm\]"):
        minilm.weights_folder()
