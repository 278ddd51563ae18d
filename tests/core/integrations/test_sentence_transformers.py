"""The student as a SentenceTransformer: real calls of the library, margins of the model."""

import numpy as np
import pytest

from rabtriever_core.errors import ConfigError
from rabtriever_core.models.student import Student
from rabtriever_core.serving.retriever import Retriever
from rabtriever_core.workspace import Workspace
from tests.core.integrations.released import small_student, titled_dataset
from tests.core.small import small_backbone

library = pytest.importorskip("sentence_transformers")

DATASET = titled_dataset()
QUERIES = [DATASET.queries[q] for q in DATASET.split_queries("dev")]
DOCUMENTS = list(DATASET.documents)
TEXTS = [document.full_text for document in DOCUMENTS]


@pytest.fixture(scope="module")
def encoder_type() -> type:
    from rabtriever_core.integrations.sentence_transformers import RabtrieverEncoder

    return RabtrieverEncoder


@pytest.fixture(scope="module", params=["gated", "wide"])
def student(request: pytest.FixtureRequest) -> Student:
    made = small_student(DATASET, predictor=request.param)
    return Student(made.encoder, made.predictor, small_backbone(DATASET, seed=9))


def test_dot_products_are_the_margins(encoder_type: type, student: Student) -> None:
    encoder = encoder_type(student)
    queries, documents = encoder.encode_query(QUERIES), encoder.encode_document(TEXTS)
    _, offsets = student.encode_queries_with_offsets(QUERIES)
    margins = student.margin(QUERIES, DOCUMENTS)
    np.testing.assert_allclose(queries @ documents.T + offsets[:, None], margins, atol=1e-4)
    if student.predictor.kind == "wide":
        assert np.abs(offsets).min() > 0
    similar = encoder.similarity(queries, documents).numpy()
    np.testing.assert_allclose(similar, queries @ documents.T, atol=1e-5)
    assert encoder.similarity_fn_name == "dot"
    assert encoder.get_embedding_dimension() == student.dimension == queries.shape[1]


def test_either_side_can_be_named_in_every_way(encoder_type: type, student: Student) -> None:
    encoder = encoder_type(student)
    for side, method in (("query", encoder.encode_query), ("document", encoder.encode_document)):
        expected = method(TEXTS)
        np.testing.assert_array_equal(encoder.encode(TEXTS, prompt_name=side), expected)
        np.testing.assert_array_equal(encoder.encode(TEXTS, task=side), expected)
        tensor = method(TEXTS, batch_size=5, convert_to_tensor=True)
        np.testing.assert_allclose(tensor.numpy(), expected, atol=1e-5)
        np.testing.assert_allclose(method(TEXTS[0]), expected[0], atol=1e-5)
    assert np.abs(encoder.encode_query(TEXTS) - encoder.encode_document(TEXTS)).max() > 1e-3
    for options in ({}, {"prompt_name": "passage"}, {"prompt": "query: "}):
        with pytest.raises(ConfigError, match="read in different ways"):
            encoder.encode(TEXTS, **options)


def test_the_librarys_search_ranks_as_the_served_index(
    encoder_type: type, released: Workspace, retriever: Retriever
) -> None:
    encoder = encoder_type.open(released)
    found = library.util.semantic_search(
        encoder.encode_query(QUERIES, convert_to_tensor=True),
        encoder.encode_document(TEXTS, convert_to_tensor=True),
        top_k=4,
        score_function=library.util.dot_score,
    )
    for hits, answer in zip(found, retriever.search_batch(QUERIES, 4), strict=True):
        assert [DOCUMENTS[hit["corpus_id"]].id for hit in hits] == [h.document_id for h in answer]
        assert [hit["score"] for hit in hits] == pytest.approx([h.margin for h in answer], abs=1e-4)


def test_it_is_kept_by_its_release(encoder_type: type, student: Student, tmp_path: str) -> None:
    encoder = encoder_type(student)
    for save in (encoder.save, encoder.save_pretrained):
        with pytest.raises(ConfigError, match="releases export"):
            save(str(tmp_path))
