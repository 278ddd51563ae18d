"""Prompts with either text first: their tokens are the whole text's, and texts stay texts."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from rabtriever_core.config import PromptConfig
from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import ModelError
from rabtriever_core.models.prompt import Prompt
from rabtriever_core.models.templates import QWEN3_RERANKER, make_prompt
from tests.core.checkpoints import (
    CHATML,
    byte_level_tokenizer,
    qwen3_tokenizer,
    sentencepiece_tokenizer,
)

INSTRUCTION = "Is it in {query}? Judge."
OWN = (
    "{instruction}\nText:\n{document}\nQuestion: {query}\n\n"
    "Helpful, yes or no?\n<think>\n\n</think>\n"
)
QUERY_FIRST = "Question: {query}\nText: {document} End\nAnswer:"
TEMPLATES = {
    "qwen3-reranker": QWEN3_RERANKER,
    "own, document first": OWN,
    "own, query first": QUERY_FIRST,
}
HOSTILE = (
    "<|im_end|>", "<|im_start|>", "<think>", "</think>", "\n<Document>: ", "<Query>:", "\n", "?",
    "{document}", "{query}", "{instruction}", "yes", "no", "night ", " ", "e\u0301",
)  # fmt: skip
ANY = st.text() | st.lists(st.sampled_from(HOSTILE)).map("".join)


def prompt_of(template: str, **settings: Any) -> Prompt:
    text = template if template == "qwen3-reranker" else TEMPLATES[template]
    config = {"template": text, "instruction": INSTRUCTION, "max_document_tokens": 10_000,
              "max_query_tokens": 10_000, "true_answer": "yes", "false_answer": "no"}  # fmt: skip
    return make_prompt(qwen3_tokenizer(), PromptConfig(**config | settings))


PROMPTS = {name: prompt_of(name) for name in TEMPLATES}


def pair(prompt: Prompt, document: str, query: str) -> list[int]:
    (document_ids,) = prompt.documents([Document("d", document)])
    (query_ids,) = prompt.queries([query])
    return prompt.pair(document_ids, query_ids)


def pieces(template: str) -> list[str]:
    """Before, which text is first, between, which is second, after."""
    parts = re.split(r"\{(document|query)\}", TEMPLATES[template])
    return [part.replace("{instruction}", INSTRUCTION) for part in parts]


def filled(template: str, document: str, query: str) -> str:
    """The template's text with the texts in their places, white space collapsed."""
    texts = {"document": " ".join(document.split()), "query": " ".join(query.split())}
    before, first, between, second, after = pieces(template)
    return "".join([before, texts[first], between, texts[second], after])


@pytest.mark.parametrize("template", TEMPLATES)
@settings(max_examples=60, deadline=None)
@given(document=ANY, query=ANY)
def test_texts_stay_texts_in_their_places(template: str, document: str, query: str) -> None:
    """Read back it is the template with both texts in it, and no marker but the template's."""
    prompt = PROMPTS[template]
    tokenizer = prompt.tokenizer
    ids = pair(prompt, document, query)
    whole = tokenizer.backend_tokenizer.normalizer.normalize_str(filled(template, document, query))
    assert tokenizer.decode(ids) == whole
    markers = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    calm = [i for i in pair(prompt, "calm", "calm") if i in markers]
    assert [i for i in ids if i in markers] == calm


@pytest.mark.parametrize("template", TEMPLATES)
@settings(max_examples=60, deadline=None)
@given(document=ANY, query=ANY)
def test_tokens_are_those_of_the_whole_text(template: str, document: str, query: str) -> None:
    prompt = PROMPTS[template]
    markers = [str(token) for token in prompt.tokenizer.added_tokens_decoder.values()]
    if any(marker in text for marker in markers for text in (document, query)):
        return  # these would be read as structure
    whole = filled(template, document, query)
    expected = prompt.tokenizer(whole, add_special_tokens=False)["input_ids"]
    assert pair(prompt, document, query) == expected


def test_the_published_prompt() -> None:
    """Prefix, pair and suffix tokenized apart, as that family's page does."""
    prompt = PROMPTS["qwen3-reranker"]
    tokenizer = qwen3_tokenizer()
    prefix = (
        "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query "
        'and the Instruct provided. Note that the answer can only be "yes" or "no".<|im_end|>\n'
        "<|im_start|>user\n"
    )
    suffix = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    query, document = "Is it calm in the night?", "(a pause.) Suggest!"
    text = f"<Instruct>: {INSTRUCTION}\n<Query>: {query}\n<Document>: {document}"
    parts = [tokenizer(part)["input_ids"] for part in (prefix, text, suffix)]
    assert pair(prompt, document, query) == [i for part in parts for i in part]
    answers = [prompt.spec.true_id, prompt.spec.false_id]
    assert answers == tokenizer.convert_tokens_to_ids(["yes", "no"])


@pytest.mark.parametrize("template", TEMPLATES)
def test_what_is_read_alone(template: str) -> None:
    """Each side after the same lines; only what stands second ends at the answer."""
    prompt = PROMPTS[template]
    (document,) = prompt.documents([Document("d", "a pause")])
    (query,) = prompt.alone(prompt.queries(["calm?"]))
    start, answer = prompt.spec.start, prompt.spec.answer_suffix
    assert document[: len(start)] == query[: len(start)] == list(start)
    first, second = (document, query) if prompt.spec.document_first else (query, document)
    assert second[-len(answer) :] == list(answer)
    whole = pair(prompt, "a pause", "calm?")
    assert whole == [*first, *second[len(start) :]]
    side = prompt.query_side
    assert query[: len(side.head)] == list(side.head)
    assert query[len(query) - len(side.tail) :] == list(side.tail)
    alone = {
        "qwen3-reranker": ("<Query>: calm?\n", "<Document>: a pause<|im_end|>\n<|im_start|>"),
        "own, document first": (
            "Question: calm?\n\nHelpful, yes or no?\n<think>\n\n</think>\n",
            "Text:\na pause\n",
        ),
    }
    if template in alone:
        lines, (of_query, of_document) = prompt.tokenizer.decode(start), alone[template]
        assert lines.endswith(f"{INSTRUCTION}\n")
        assert prompt.tokenizer.decode(query) == lines + of_query
        assert prompt.tokenizer.decode(document).startswith(lines + of_document)


@pytest.mark.parametrize("template", TEMPLATES)
def test_long_texts_are_cut_and_stay_in_their_places(template: str) -> None:
    prompt = prompt_of(template, max_document_tokens=8, max_query_tokens=6)
    document, query = "pause " * 40, "calm " * 40
    text = prompt.tokenizer.decode(pair(prompt, document, query))
    before, first, between, second, after = pieces(template)
    assert text.startswith(before.rstrip()) and text.endswith(after)
    left, found, right = text[len(before.rstrip()) : -len(after)].partition(between.strip())
    read = {first: left, second: right}
    assert found and len(read["document"]) < 60 and len(read["query"]) < 60
    assert document.startswith(read["document"].strip())
    assert query.strip().endswith(read["query"].strip())
    if prompt.spec.document_first:
        assert read["document"].endswith("\n")
    longest = len(prompt.documents([Document("d", document)])[0])
    spec = prompt.spec
    fixed = len(spec.start + spec.document_prefix + spec.document_suffix)
    assert longest <= fixed + 8 + (0 if spec.document_first else len(spec.answer_suffix))


@pytest.mark.parametrize("template", TEMPLATES)
def test_round_trip(template: str, tmp_path: Path) -> None:
    """Its markers are special once for all: also for who reads the tokenizer's file alone."""
    from tokenizers import Tokenizer

    prompt = PROMPTS[template]
    prompt.save(tmp_path)
    loaded = Prompt.load(tmp_path)
    hostile = "a <think> b</think> c<|im_end|>?"
    assert loaded.spec == prompt.spec
    assert pair(loaded, hostile, hostile) == pair(prompt, hostile, hostile)
    file = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    file.encode_special_tokens = True
    side = prompt.query_side
    text = f"{side.space[0]}{hostile}{side.space[1]}"
    ids = [*side.head, *file.encode(text, add_special_tokens=False).ids, *side.tail]
    assert ids == prompt.alone(prompt.queries([hostile]))[0]


OLD = {
    "compact": ("<|document|>", "", "<|query|>", "<|answer|>"),
    "paper": ("Document: ", "\n", "Query: ", "\nSo? T or F\nAnswer:"),
    "chat": ("Document: ", "\n", "Query: ", "\nSo? T or F<|im_end|>\n<|im_start|>assistant\n"),
}


@pytest.mark.parametrize("template", OLD)
@pytest.mark.parametrize("tokenizer", [byte_level_tokenizer, sentencepiece_tokenizer])
@pytest.mark.parametrize("bos", [False, True])
def test_prompts_that_were_made_before_stay(
    template: str, tokenizer: Any, bos: bool, tmp_path: Path
) -> None:
    """Each part was tokenized apart, white space too; the file says so in the same words."""
    made = tokenizer(bos=bos)
    made.chat_template = CHATML
    if template == "compact":
        made.add_special_tokens({"additional_special_tokens": [
            "<|pad|>", "<|document|>", "<|query|>", "<|answer|>", "<|T|>", "<|F|>"]})  # fmt: skip
    config = PromptConfig(template=template, question="So? {true} or {false}", instruction="")
    prompt = make_prompt(made, config)
    ids = [made(part, add_special_tokens=False)["input_ids"] for part in OLD[template]]
    start = [made.bos_token_id] if bos else []
    if template == "chat":
        start = made("<|im_start|>user\n", add_special_tokens=False)["input_ids"]
    names = ("document_prefix", "document_suffix", "query_prefix", "answer_suffix")
    old = {"start": start, **dict(zip(names, ids, strict=True))}
    rest = ("true_id", "false_id", "pad_id", "max_document_tokens", "max_query_tokens")
    old |= {name: getattr(prompt.spec, name) for name in rest}
    prompt.save(tmp_path)
    assert json.loads((tmp_path / "prompt.json").read_text()) == old
    assert Prompt.load(tmp_path).spec == prompt.spec
    text = made("calm pause", add_special_tokens=False)["input_ids"]
    document, query = [*start, *ids[0], *text, *ids[1]], [*ids[2], *text, *ids[3]]
    assert pair(prompt, "calm  pause", "\ncalm pause") == [*document, *query]
    assert prompt.alone(prompt.queries(["calm pause"])) == [[*start, *query]]


def test_a_beginning_of_sequence_token_comes_first_once() -> None:
    for text in (
        "Text: {document}\nQuestion: {query}\nT or F:",
        "<s>{instruction}\nText: {document}\nQuestion: {query}\nT or F:",
    ):
        tokenizer = byte_level_tokenizer(bos=True)
        ids = pair(make_prompt(tokenizer, PromptConfig(template=text)), "calm", "calm")
        assert (ids[0], ids.count(tokenizer.bos_token_id)) == (tokenizer.bos_token_id, 1)


@pytest.mark.parametrize(
    "text",
    ["qwen3", "", "{document}", "Q {query} A", "D {document} D {document} Q {query} A",
     "{document} Q {query} A", "D {document} \n{query} A", "D {document} Q {query}\n"],
)  # fmt: skip
def test_what_is_no_template_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match=r"nor a template of your own.*text before, between"):
        PromptConfig(template=text)


def test_what_the_tokenizer_lacks_is_named() -> None:
    with pytest.raises(ModelError, match=r"qwen3-reranker.*<\|im_start\|>"):
        make_prompt(sentencepiece_tokenizer(), PromptConfig(template="qwen3-reranker"))
    with pytest.raises(ModelError, match=r"not single tokens.*'yes'"):
        make_prompt(byte_level_tokenizer(), PromptConfig(template="qwen3-reranker"))
    with pytest.raises(ModelError, match=r"not single tokens.*zebra.*prompt\.true_answer"):
        prompt_of("own, document first", true_answer="zebra quilt")
