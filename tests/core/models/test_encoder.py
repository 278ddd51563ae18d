"""Pretrained encoders: the vectors of sentence-transformers, and a margin that is a dot product."""

from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch

from rabtriever_core.config import PromptConfig, StudentConfig
from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import ModelError
from rabtriever_core.models.encoder import Encoder
from rabtriever_core.models.known_models import is_fetched, known_model
from rabtriever_core.models.model_source import encoder_source
from rabtriever_core.models.predictor import Predictor, ProjectedPredictor, make_predictor
from rabtriever_core.models.pretrained_encoder import pretrained_encoder
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.models.saved_encoder import load_encoder_of_teacher
from rabtriever_core.models.states import DocumentReader, document_states, query_states
from rabtriever_core.models.student import Student
from rabtriever_core.training.examples import Examples
from tests.core.small import RUNTIME, small_backbone, small_dataset
from tests.core.small_encoder import small_encoder, write_encoder

DATASET = small_dataset()
BACKBONE = small_backbone(DATASET)
QUERIES = [DATASET.queries[q] for q in DATASET.split_queries("dev")]
LONG = " ".join(["tired"] * 100)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return small_encoder(tmp_path_factory.mktemp("encoder"), DATASET)


@pytest.mark.parametrize(
    "how",
    [
        {"pooling": "mean"},
        {"pooling": "cls"},
        {"prompts": {"query": "query: ", "document": "text: "}},
    ],
)
def test_vectors_are_those_of_sentence_transformers(how: dict, tmp_path: Path) -> None:
    library = pytest.importorskip("sentence_transformers")
    own = small_encoder(tmp_path, DATASET, **how)
    peer = library.SentenceTransformer(str(tmp_path), device="cpu")
    texts = [document.full_text for document in DATASET.documents]
    for found, expected in (
        (query_states(own, QUERIES), peer.encode_query(QUERIES, normalize_embeddings=True)),
        (
            document_states(own, DATASET.documents),
            peer.encode_document(texts, normalize_embeddings=True),
        ),
    ):
        np.testing.assert_allclose(found, expected, atol=1e-5)
        assert np.ptp(found, axis=0).max() > 0.1


def test_a_plain_folder_takes_the_mean(tmp_path: Path) -> None:
    pooled = small_encoder(tmp_path, DATASET)
    (tmp_path / "modules.json").unlink()
    plain = pretrained_encoder(encoder_source(str(tmp_path), tmp_path), PromptConfig(), RUNTIME)
    np.testing.assert_array_equal(query_states(plain, QUERIES), query_states(pooled, QUERIES))


@pytest.mark.parametrize("layers", [1, (0,), (1,), (0, 1)])
def test_layers_of_an_encoder_are_chosen(layers: int | tuple[int, ...], tmp_path: Path) -> None:
    whole = small_encoder(tmp_path, DATASET)
    source = encoder_source(str(tmp_path), tmp_path)
    cut = pretrained_encoder(source, PromptConfig(), RUNTIME, layers)
    kept = range(layers) if isinstance(layers, int) else layers
    blocks = whole.model.encoder
    blocks.layer = torch.nn.ModuleList(blocks.layer[layer] for layer in kept)
    np.testing.assert_allclose(query_states(cut, QUERIES), query_states(whole, QUERIES), atol=1e-5)
    cut.save(tmp_path / "saved")
    loaded = Encoder.load(tmp_path / "saved", RUNTIME)
    np.testing.assert_array_equal(query_states(loaded, QUERIES), query_states(cut, QUERIES))


def test_more_layers_than_an_encoder_has(tmp_path: Path) -> None:
    write_encoder(tmp_path, DATASET)
    source = encoder_source(str(tmp_path), tmp_path)
    with pytest.raises(ModelError, match=r"bi_encoder\.layers = 3, but bert has 2 layers"):
        pretrained_encoder(source, PromptConfig(), RUNTIME, 3)


def test_documents_lose_their_end_and_queries_their_start(encoder: Encoder) -> None:
    limit = 32 - 2
    (document,) = encoder.prompt.documents([Document("1", f"grandmother {LONG} rage")])
    (query,) = encoder.prompt.queries([f"grandmother {LONG} rage"])
    assert len(document) == len(query) == 32
    words = encoder.prompt.tokenizer.convert_ids_to_tokens
    assert words(document)[1] != words(query)[1] and words(query)[-2] != words(document)[-2]
    assert document[1 : limit + 1] != query[1 : limit + 1]


def test_thinning_leaves_what_is_not_text(tmp_path: Path) -> None:
    model = small_encoder(tmp_path, DATASET, prompts={"query": "query: ", "document": "text: "})
    examples = Examples.of(DATASET, "train", model.prompt)
    spec = model.prompt.spec
    (row,) = examples.thinned_queries([0], 0.99, np.random.default_rng(0))
    assert row[: len(spec.start + spec.query_prefix)] == [*spec.start, *spec.query_prefix]
    assert len(row) < len(examples.query_ids[0]) and row[-1:] == list(spec.end)


@pytest.mark.parametrize("text", ["[SEP] [CLS]", "[PAD]", "[MASK]"])
def test_special_tokens_in_a_text_are_text(encoder: Encoder, text: str) -> None:
    (row,) = encoder.prompt.queries([f"tired {text}"])
    assert not set(row[1:-1]) & {0, 2, 3, 4}


def test_batched_is_single_and_saved_is_loaded(encoder: Encoder, tmp_path: Path) -> None:
    together = query_states(encoder, QUERIES)
    alone = np.concatenate([query_states(encoder, [query]) for query in QUERIES])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    encoder.save(tmp_path)
    np.testing.assert_array_equal(query_states(Encoder.load(tmp_path, RUNTIME), QUERIES), together)
    reader = DocumentReader(encoder)
    first = reader.states(DATASET.documents[:1])
    np.testing.assert_array_equal(reader.states(DATASET.documents)[:1], first)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"pooling": "max"}, "pools by"),
        ({"further_module": "Dense"}, "has a part sentence_transformers.models.Dense"),
    ],
)
def test_other_vectors_are_refused(how: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=message):
        small_encoder(tmp_path, DATASET, **how)


def test_a_hub_that_goes_away_in_the_middle_is_no_other_pooling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import transformers.utils

    def gone(model: str, name: str, **options: bool) -> None:
        if options["_raise_exceptions_for_connection_errors"]:
            raise OSError("the hub does not answer")

    write_encoder(tmp_path, DATASET)
    monkeypatch.setattr(transformers.utils, "cached_file", gone)
    monkeypatch.setattr("huggingface_hub.is_offline_mode", lambda: False)
    source = encoder_source(str(tmp_path), tmp_path)
    with pytest.raises(ModelError, match="cannot be loaded: OSError: the hub does not answer"):
        pretrained_encoder(source, PromptConfig(), RUNTIME)


def test_a_language_model_is_no_encoder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is a language model, and no encoder: take one.*minilm"):
        encoder_source("smollm2", tmp_path)
    with pytest.raises(ModelError, match=r"there is no .*none"):
        encoder_source("./none", tmp_path)
    assert encoder_source(str(write_encoder(tmp_path / "x", DATASET)), tmp_path).kind == "folder"


@pytest.mark.parametrize("cosine_scale", [0.0, 20.0])
def test_a_teachers_margin_holds_the_encoders_cosine(
    encoder: Encoder, cosine_scale: float, tmp_path: Path
) -> None:
    teacher = GenerativeReranker(BACKBONE, cosine_scale, encoder)
    documents = DATASET.documents
    reading = GenerativeReranker(BACKBONE).margins(QUERIES, documents)
    cosines = query_states(encoder, QUERIES) @ document_states(encoder, documents).T
    expected = reading + cosine_scale * cosines
    np.testing.assert_allclose(teacher.margins(QUERIES, documents), expected, atol=1e-4)
    candidates = np.tile(np.arange(len(documents))[::-1], (len(QUERIES), 1))
    own = teacher.candidate_margins(QUERIES, documents, candidates, None)
    np.testing.assert_allclose(own[:, ::-1], expected, atol=1e-4)
    teacher.save(tmp_path)
    loaded = GenerativeReranker.load(tmp_path, RUNTIME)
    np.testing.assert_allclose(loaded.margins(QUERIES, documents), expected, atol=1e-4)
    assert isinstance(load_encoder_of_teacher(tmp_path, RUNTIME), Encoder)


def test_only_the_nearest_documents_are_read(encoder: Encoder) -> None:
    teacher = GenerativeReranker(BACKBONE, 20.0, encoder)
    documents = DATASET.documents
    whole = teacher.margins(QUERIES, documents)
    np.testing.assert_allclose(
        teacher.margins_of_nearest(QUERIES, documents, len(documents)), whole, atol=1e-4
    )
    few = teacher.margins_of_nearest(QUERIES, documents, 3)
    cosines = query_states(encoder, QUERIES) @ document_states(encoder, documents).T
    for row, read, cosine in zip(few, whole, cosines, strict=True):
        order = np.argsort(-cosine, kind="stable")
        np.testing.assert_allclose(row[order[:3]], read[order[:3]], atol=1e-4)
        # By their cosines: two that differ by rounding alone may change places.
        rest = np.argsort(-row, kind="stable")[3:]
        assert set(rest) == set(order[3:])
        np.testing.assert_allclose(cosine[rest], cosine[order[3:]], atol=1e-5)
    known = {
        query: dict(zip((document.id for document in documents), row, strict=True))
        for query, row in zip(QUERIES, whole, strict=True)
    }
    with patch.object(GenerativeReranker, "candidate_margins", side_effect=AssertionError):
        again = teacher.margins_of_nearest(QUERIES, documents, 3, known)
        np.testing.assert_allclose(again, few, atol=1e-4)
    del known[QUERIES[0]]
    np.testing.assert_array_equal(teacher.margins_of_nearest(QUERIES, documents, 3, known), few)
    with pytest.raises(ValueError, match="only if the score holds one"):
        GenerativeReranker(BACKBONE, 0.0, encoder).margins_of_nearest(QUERIES, documents, 3)


@pytest.mark.parametrize("config", [StudentConfig(), StudentConfig(skip=False)])
def test_a_students_margin_is_one_dot_product(
    encoder: Encoder, config: StudentConfig, tmp_path: Path
) -> None:
    predictor = make_predictor(encoder.dimension, config, 1, out=BACKBONE.dimension)
    assert isinstance(predictor, ProjectedPredictor)
    student = Student(encoder, predictor, direction=BACKBONE.answer_direction())
    queries, offsets = student.encode_queries_with_offsets(QUERIES)
    documents = student.encode_documents(DATASET.documents)
    margins = student.margin(QUERIES, DATASET.documents)
    np.testing.assert_allclose(queries @ documents.T + offsets[:, None], margins, atol=1e-4)
    # A retrained predictor needs nothing embedded again.
    np.testing.assert_array_equal(documents, document_states(encoder, DATASET.documents))
    predictor.save(tmp_path)
    loaded = Student(encoder, Predictor.load(tmp_path), direction=student.direction)
    np.testing.assert_array_equal(loaded.margin(QUERIES, DATASET.documents), margins)


@pytest.mark.parametrize("out", [16, 24, 40])
def test_a_projected_predictor_starts_from_the_cosine(encoder: Encoder, out: int) -> None:
    """Exactly, up to the ridge, where the teacher's states are as wide as the encoder's."""
    torch.manual_seed(0)
    predictor = make_predictor(encoder.dimension, StudentConfig(), 1, out=out)
    direction = torch.randn(out).sign() * 2
    predictor.start_from_cosine(direction, 7.0)
    student = Student(encoder, predictor, direction=direction)
    margins = student.margin(QUERIES, DATASET.documents)
    expected = 7 * query_states(encoder, QUERIES) @ document_states(encoder, DATASET.documents).T
    if out < encoder.dimension:
        assert np.corrcoef(margins.ravel(), expected.ravel())[0, 1] > 0.5
    else:
        np.testing.assert_allclose(margins, expected, rtol=0.01, atol=0.01)


def test_only_a_gated_predictor_leads_to_other_states() -> None:
    with pytest.raises(ModelError, match=r"student\.predictor is wide"):
        make_predictor(24, StudentConfig(predictor="wide"), 1, out=32)


@pytest.mark.skipif(not is_fetched(known_model("minilm")), reason="rabtriever fetch-model minilm")
def test_minilm_finds_what_is_meant() -> None:
    prompt = PromptConfig()
    model = pretrained_encoder(encoder_source("minilm", Path()), prompt, RUNTIME)
    documents = [Document("wipe", "Mop up the liquid."), Document("light", "Switch on the lamp.")]
    asked = ["I tipped my tea over.", "It is too dark to read."]
    cosines = query_states(model, asked) @ document_states(model, documents).T
    assert cosines.argmax(axis=1).tolist() == [0, 1]
