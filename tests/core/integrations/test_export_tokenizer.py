"""A tokenizer that puts the prompt around texts gives the prompt's token ids, whatever the text."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import ModelError
from rabtriever_core.integrations.export_tokenizer import (
    Frame,
    document_frame,
    framing_tokenizer,
    pair_frame,
    query_frame,
)
from rabtriever_core.models.encoder import EncoderPrompt
from rabtriever_core.models.prompt import Prompt
from rabtriever_core.models.text_encoder import TextPrompt
from tests.core.small import small_backbone, small_dataset
from tests.core.small_encoder import small_encoder

DATASET = small_dataset()
PIECES = [
    "<|query|>",
    "<|T|>",
    "[SEP]",
    "[CLS]",
    "<think>",
    "<tool> ",
    "worn ",
    "out",
    "\x1c",
    "\r\n",
]
# Lone surrogates are refused by the tokenizers of both.
TEXTS = st.lists(
    st.one_of(
        st.sampled_from(PIECES),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
        st.text(st.characters(categories=["Zs", "Zl", "Zp", "Cc"]), max_size=3),
        st.sampled_from(["one too many " * 40]),
    ),
    max_size=6,
).map("".join)


@cache
def prompt(kind: str) -> TextPrompt:
    if kind == "wordpiece":
        with TemporaryDirectory() as folder:
            prompts = {"query": "query: ", "document": "text: "}
            made: EncoderPrompt = small_encoder(Path(folder), DATASET, prompts=prompts).prompt
        return made
    of_backbone: Prompt = small_backbone(DATASET).prompt
    if kind == "tools":
        # As Qwen and ModernBERT have them: found in texts, although special tokens are not.
        of_backbone.tokenizer.add_tokens(["<think>", "   ", "<tool>"])
    return of_backbone


def reopened(made: TextPrompt, frame: Frame) -> Any:
    """Saved, and opened as libraries do."""
    with TemporaryDirectory() as folder:
        framing_tokenizer(made, frame).save_pretrained(folder)
        return AutoTokenizer.from_pretrained(folder)


@cache
def opened(kind: str, side: str) -> Any:
    made = prompt(kind)
    if side == "pair":
        return reopened(made, pair_frame(made.spec))
    return reopened(made, query_frame(made) if side == "query" else document_frame(made))


@pytest.mark.parametrize("kind", ["bytes", "tools", "wordpiece"])
@settings(max_examples=150, deadline=None)
@given(text=TEXTS)
@example(text="")
@example(text=" use <tool>  now    <think>    [SEP] ")
def test_texts_alone(kind: str, text: str) -> None:
    made = prompt(kind)
    expected = {
        "query": made.alone(made.queries([text]))[0],
        "document": made.documents([Document("1", text)])[0],
    }
    for side, ids in expected.items():
        found = opened(kind, side)([text, "a longer neighbour " * 9], truncation=True, padding=True)
        assert set(found) == {"input_ids", "attention_mask"}
        length = sum(found["attention_mask"][0])
        assert found["input_ids"][0][:length] == ids
        assert set(found["input_ids"][0][length:]) <= {made.spec.pad_id}


@pytest.mark.parametrize("kind", ["bytes", "tools"])
@settings(max_examples=100, deadline=None)
@given(query=TEXTS, text=TEXTS)
def test_pairs_that_need_no_cutting(kind: str, query: str, text: str) -> None:
    made = prompt(kind)
    assert isinstance(made, Prompt)
    ids = [*made.documents([Document("1", text)])[0], *made.queries([query])[0]]
    spec = made.spec
    whole = made.tokenizer(
        [" ".join(each.split()) for each in (query, text)],
        add_special_tokens=False,
        split_special_tokens=True,
    )["input_ids"]
    found = opened(kind, "pair")([query], [text], truncation="longest_first")["input_ids"][0]
    if len(whole[0]) <= spec.max_query_tokens and len(whole[1]) <= spec.max_document_tokens:
        assert found == ids
    else:
        assert len(found) >= len(ids)


def test_a_text_that_stands_alone_is_left_alone() -> None:
    """So that whoever opens the teacher as a plain language model gets plain tokens."""
    tokenizer, plain = opened("bytes", "pair"), prompt("bytes").tokenizer
    text = "Let the rage be spoken aloud"
    assert tokenizer(text)["input_ids"] == plain(text, add_special_tokens=False)["input_ids"]


def test_a_slow_tokenizer_is_refused() -> None:
    made = prompt("bytes")

    class Slow:
        pass

    slow = Prompt(made.spec, Slow())
    with pytest.raises(ModelError, match="Slow has no fast form"):
        framing_tokenizer(slow, query_frame(slow))


def test_a_token_that_normalization_would_hide_is_refused() -> None:
    made = small_backbone(DATASET).prompt
    made.tokenizer.add_tokens(["<Think>"])  # texts are lower-cased
    with pytest.raises(ModelError, match="finds '<Think>' in a text before it normalizes"):
        framing_tokenizer(made, query_frame(made))
