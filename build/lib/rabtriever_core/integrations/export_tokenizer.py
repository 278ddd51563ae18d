"""The prompt as a part of a tokenizer, so that a library puts it around texts by itself.

What surrounds a text is written down as token ids, as `Prompt` has them: a text cannot forge it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rabtriever_core.errors import ModelError
from rabtriever_core.models.prompt import Prompt, PromptSpec
from rabtriever_core.models.text_encoder import TextPrompt

Piece = Sequence[int] | str
"""Token ids, or the place of a text: "$A" for the first or only one, "$B" for the second."""


@dataclass(frozen=True)
class Frame:
    """How texts become the tokens that a model reads."""

    pieces: tuple[Piece, ...]
    max_tokens: int
    """Of the texts together."""
    cut: str
    """The side on which what is too long is cut: left or right."""


def query_frame(prompt: TextPrompt) -> Frame:
    """A query that is read alone."""
    side = prompt.query_side
    return Frame((side.head, "$A", side.tail), side.max_tokens, "left")


def document_frame(prompt: TextPrompt) -> Frame:
    """A document that is read alone."""
    spec = prompt.spec
    tail = prompt.document_tail(cut=True) if isinstance(prompt, Prompt) else spec.end
    pieces = ((*spec.start, *spec.document_prefix), "$A", tail)
    return Frame(pieces, spec.max_document_tokens, "right")


def pair_frame(spec: PromptSpec) -> Frame:
    """A query ($A) with a document ($B), in the prompt's order."""
    document = (spec.document_prefix, "$B", spec.document_suffix)
    query = (spec.query_prefix, "$A", ())
    first, second = (document, query) if spec.document_first else (query, document)
    pieces = (
        (*spec.start, *first[0]),
        first[1],
        (*first[2], *second[0]),
        second[1],
        (*second[2], *spec.answer_suffix),
    )
    return Frame(pieces, spec.max_document_tokens + spec.max_query_tokens, "right")


def backend_of(tokenizer: Any, instead: str) -> Any:
    """A copy of what computes a fast tokenizer: of `tokenizers`, without padding or truncation.

    Args:
        tokenizer: of `transformers`.
        instead: what to do where there is none.

    Raises:
        ModelError: the tokenizer has no fast form.
    """
    from tokenizers import Tokenizer

    fast = getattr(tokenizer, "backend_tokenizer", None)
    if fast is None:
        raise ModelError(
            f"the tokenizer {type(tokenizer).__name__} has no fast form, which an export needs: "
            f"{instead}"
        )
    copy = Tokenizer.from_str(fast.to_str())
    copy.no_padding()
    copy.no_truncation()
    return copy


def framing_tokenizer(prompt: TextPrompt, frame: Frame) -> Any:
    """A tokenizer of `transformers` that reads texts as the prompt does.

    White space is collapsed, special tokens within a text are split into plain characters, and the
    frame's token ids stand around it.

    Raises:
        ModelError: the tokenizer has no fast form, or the prompt's white space belongs to texts.
    """
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    spec = prompt.spec
    if isinstance(spec, PromptSpec) and any((*spec.document_space, *spec.query_space)):
        raise ModelError(
            "its prompt has white space that is tokenized together with the texts (prompt.template "
            "is qwen3-reranker or one of your own), which an exported tokenizer cannot do: serve "
            "this release from its workspace"
        )
    tokenizer, pad_id = prompt.tokenizer, spec.pad_id
    backend = _collapsing(backend_of(tokenizer, "serve this release from its workspace"))
    template, fixed = [], []
    for number, piece in enumerate(frame.pieces):
        if isinstance(piece, str):
            # A type other than 0 would be told to models that know types.
            template.append(f"{piece}:0")
        elif piece:
            name = f"fixed-{number}"
            template.append(f"{name}:0")
            tokens = tokenizer.convert_ids_to_tokens(list(piece))
            fixed.append({"id": name, "ids": list(piece), "tokens": tokens})
    texts = {"pair": template} if "$B" in frame.pieces else {"single": template}
    backend.post_processor = TemplateProcessing(**texts, special_tokens=fixed)
    around = sum(len(piece) for piece in frame.pieces if not isinstance(piece, str))
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=tokenizer.convert_ids_to_tokens(pad_id),
        split_special_tokens=True,
        truncation_side=frame.cut,
        model_max_length=around + frame.max_tokens,
        model_input_names=["input_ids", "attention_mask"],
    )


def _collapsing(backend: Any) -> Any:
    """The same, with `" ".join(text.split())` before its own normalization.

    Raises:
        ModelError: it finds a token in texts only before they are normalized.
    """
    from tokenizers import Regex, Tokenizer
    from tokenizers.normalizers import Replace, Sequence, Strip

    spaces = "".join(filter(str.isspace, map(chr, range(0x110000))))
    own = [] if backend.normalizer is None else [backend.normalizer]
    normalizer = Sequence([Replace(Regex(f"[{spaces}]+"), " "), Strip(), *own])
    values = json.loads(backend.to_str())
    for token in values["added_tokens"]:
        content = token["content"]
        if token["special"]:
            continue
        if f"x{content}x" != " ".join(f"x{content}x".split()):
            # No collapsed text holds it, and special tokens are not looked for.
            token["special"] = True
        elif normalizer.normalize_str(content) != content:
            raise ModelError(
                f"its tokenizer finds {content!r} in a text before it normalizes the text, which "
                "an exported tokenizer cannot do: serve this release from its workspace"
            )
        else:
            # Found before the text is normalized, it would have its neighbours stripped.
            token["normalized"] = True
    made = Tokenizer.from_str(json.dumps(values))
    made.normalizer = normalizer
    return made
