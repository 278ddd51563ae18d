"""Prompts with the query first: margins of whole sequences, and those of the published recipe."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from rabtriever_core.config import (
    BackboneConfig,
    LoraConfig,
    PromptConfig,
    ScheduleConfig,
    TeacherConfig,
)
from rabtriever_core.data.dataset import Document
from rabtriever_core.evaluation.systems import KnownDocuments
from rabtriever_core.models.arrays import unit_rows
from rabtriever_core.models.backbone import Backbone, pretrained_backbone
from rabtriever_core.models.document_prefixes import DocumentPrefixes
from rabtriever_core.models.probability import sigmoid
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.models.states import document_states, query_states
from rabtriever_core.models.suitability import check_suitable
from rabtriever_core.training.examples import Examples
from rabtriever_core.training.sft import fine_tune_teacher
from rabtriever_core.training.warmup import _read_pairs
from tests.core.checkpoints import qwen3_reranker
from tests.core.small import RUNTIME, small_dataset

TASK = "Given a web search query, retrieve relevant passages that answer the query"
DATASET = small_dataset()
QUERIES = [
    "What is the capital of China?",
    "a calm voice in the night",
    "(really?) !?",
    "night " * 20,
    "5 días, 中文?",
    "e\u0301te\u0301",
]
TEXTS = ["The capital of China is Beijing.", "a", "suggest a pause " * 12, "...? (no)", "中文 5%"]
DOCUMENTS = [Document(str(number), text) for number, text in enumerate(TEXTS)]
CLOSE = {"rtol": 1e-4, "atol": 1e-4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return qwen3_reranker(tmp_path_factory.mktemp("hub"))


@pytest.fixture(scope="module")
def backbone(folder: Path) -> Backbone:
    prompt = PromptConfig(template="qwen3-reranker", instruction=TASK)
    made = pretrained_backbone(BackboneConfig(model=str(folder)), prompt, RUNTIME)
    check_suitable(made, "own", LoraConfig(rank=2))
    return made


def published(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """(logit_yes − logit_no, probability of yes) [n, m], as QwenLM/Qwen3-Embedding computes them.

    A format string, tokenized between prefix and suffix; left padding; the logits of the last
    position; softmax over the two answers.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    opening = (
        "Judge whether the Document meets the requirements based on the Query and the Instruct "
        'provided. Note that the answer can only be "yes" or "no".'
    )
    prefix = f"<|im_start|>system\n{opening}<|im_end|>\n<|im_start|>user\n"
    suffix = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    before, after = (tokenizer.encode(part, add_special_tokens=False) for part in (prefix, suffix))
    yes, no = tokenizer.convert_tokens_to_ids(["yes", "no"])
    texts = [
        f"<Instruct>: {TASK}\n<Query>: {' '.join(query.split())}\n<Document>: {text.strip()}"
        for query in QUERIES
        for text in TEXTS
    ]
    rows = [before + row + after for row in tokenizer(texts)["input_ids"]]
    batch = tokenizer.pad({"input_ids": rows}, padding=True, return_tensors="pt")
    with torch.inference_mode():
        last = model(**batch).logits[:, -1, :]
    answers = torch.stack([last[:, no], last[:, yes]], dim=1)
    probability = torch.nn.functional.log_softmax(answers, dim=1)[:, 1].exp()
    shape = len(QUERIES), len(TEXTS)
    margins = (last[:, yes] - last[:, no]).view(shape).numpy()
    return margins, probability.view(shape).numpy()


def test_margins_are_the_published_scores(folder: Path, backbone: Backbone) -> None:
    margins, probability = published(folder)
    assert np.ptp(margins, axis=1).min() > 0.1 and np.ptp(margins, axis=0).min() > 0.1
    found = GenerativeReranker(backbone).margins(QUERIES, DOCUMENTS)
    np.testing.assert_allclose(found, margins, **CLOSE)
    np.testing.assert_allclose(sigmoid(found), probability, atol=1e-4)


def whole_sequences(backbone: Backbone, scale: float) -> np.ndarray:
    """Every pair read as one sequence, the cosine from states read one by one."""
    prompt = backbone.prompt
    documents, queries = prompt.documents(DOCUMENTS), prompt.queries(QUERIES)
    with torch.inference_mode():
        rows = [[backbone.last_states([prompt.pair(d, q)])[0] for d in documents] for q in queries]
        margins = torch.stack([torch.stack(row) for row in rows]) @ backbone.answer_direction()
        e_q = np.concatenate([backbone.last_states([row]) for row in prompt.alone(queries)])
        e_d = np.concatenate([backbone.last_states([row]) for row in documents])
    whole: np.ndarray = margins.numpy() + scale * unit_rows(e_q) @ unit_rows(e_d).T
    return whole


@pytest.mark.parametrize("cosine_scale", [0.0, 20.0])
def test_every_way_to_read_pairs(backbone: Backbone, cosine_scale: float) -> None:
    """A query shared by its documents, in any batch; nothing of a document is kept."""
    expected = whole_sequences(backbone, cosine_scale)
    teacher = GenerativeReranker(backbone, cosine_scale)
    np.testing.assert_allclose(teacher.margins(QUERIES, DOCUMENTS), expected, **CLOSE)
    prefixes = DocumentPrefixes(teacher, 2**30)
    known = KnownDocuments.of(teacher, DOCUMENTS)
    for row, query in enumerate(QUERIES):
        np.testing.assert_allclose(prefixes.margins(query, DOCUMENTS), expected[row], **CLOSE)
        np.testing.assert_allclose(known.margins(query, [3, 0]), expected[row, [3, 0]], **CLOSE)
    assert len(prefixes) == 0 and prefixes.margins("x", []).shape == (0,)
    prompt = backbone.prompt
    ids = prompt.documents(DOCUMENTS), prompt.queries(QUERIES)
    candidates = np.array([[4, 1, 0]] * 3 + [[2, 3, 1]] * 3)
    apart = teacher.read_apart(QUERIES, ids[1], DOCUMENTS)
    margins = np.full(candidates.shape, np.nan)
    for rows, columns, _, scores in teacher.candidate_states(
        *ids, candidates, None, apart, batch_pairs=4
    ):
        margins[rows, columns] = scores.numpy()
    wanted = np.take_along_axis(expected, candidates, axis=1)
    np.testing.assert_allclose(margins, wanted, **CLOSE)


def test_states_read_alone(backbone: Backbone) -> None:
    """e_Q does not depend on what follows; e_D is read at the answer, after the same lines."""
    prompt = backbone.prompt
    documents, queries = prompt.documents(DOCUMENTS), prompt.queries(QUERIES)
    with torch.inference_mode():
        for number, query in enumerate(prompt.alone(queries)):
            ids, _ = backbone.pad([prompt.pair(documents[0], queries[number])])
            inside = backbone.read(input_ids=ids).last_hidden_state[0, len(query) - 1]
            alone = query_states(backbone, QUERIES[number : number + 1])[0]
            np.testing.assert_allclose(inside.numpy(), alone, **CLOSE)
        ids, lengths = backbone.pad(documents)
        at_answer = backbone.padded_states(ids, lengths).numpy()
    np.testing.assert_allclose(document_states(backbone, DOCUMENTS), at_answer, **CLOSE)
    tokens = prompt.tokenizer.decode(documents[0])
    assert tokens.endswith("<Document>: The capital of China is Beijing." + "<|im_end|>\n"
        "<|im_start|>assistant\n<think>\n\n</think>\n\n")  # fmt: skip
    assert "<Query>" not in tokens


def test_what_training_reads(backbone: Backbone) -> None:
    """Margins and states of whole sequences, of the layers too."""
    prompt = backbone.prompt
    documents, queries = prompt.documents(DOCUMENTS[:3]), prompt.queries(QUERIES[:3])
    with torch.inference_mode():
        alone = backbone.last_states_of_layers(documents, (2,))
        e_d, loss = _read_pairs(backbone, documents, queries, (2,))
        rows = [prompt.pair(*sides) for sides in zip(documents, queries, strict=True)]
        losses = []
        for row in rows:
            ids = torch.tensor([row])
            read = backbone.model(input_ids=ids).logits[0, :-1].log_softmax(dim=-1)
            losses.append(-read[torch.arange(len(row) - 1), ids[0, 1:]])
    for found, expected in zip(e_d, alone, strict=True):
        torch.testing.assert_close(found, expected)
    assert float(loss) == pytest.approx(float(torch.cat(losses).mean()), rel=1e-4)


def test_it_can_be_trained_as_well(folder: Path, tmp_path: Path) -> None:
    prompt = PromptConfig(template="qwen3-reranker", instruction="")
    made = pretrained_backbone(BackboneConfig(model=str(folder)), prompt, RUNTIME)
    examples = Examples.of(DATASET, "train", made.prompt)
    teacher = GenerativeReranker(made)
    queries = list(examples.queries)
    relevant = examples.relevance(range(len(queries)), range(len(DATASET.documents)))
    before = teacher.margins(queries, DATASET.documents)
    schedule = ScheduleConfig(
        min_steps=30, max_steps=30, queries_per_step=4, checkpoint_steps=10, learning_rate=3e-3
    )
    config = TeacherConfig(schedule=schedule, documents_per_query=4, mining_depth=3)
    fine_tune_teacher(teacher, examples, config, RUNTIME, tmp_path, None)
    after = teacher.margins(queries, DATASET.documents)
    apart = [m[relevant].mean() - m[~relevant].mean() for m in (before, after)]
    assert apart[1] > apart[0] + 0.1, apart
