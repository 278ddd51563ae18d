"""The prompt of a pair, put together from token ids so that text can never forge structure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from rabtriever_core.data.dataset import Document
from rabtriever_core.workspace.atomic import write_json

PROMPT_FILE = "prompt.json"


@dataclass(frozen=True)
class PromptSpec:
    """The fixed parts of the prompt, as token ids of one tokenizer.

    Document side: `document_prefix + D + document_suffix`; query side: `query_prefix + Q`; the
    second of them ends with `answer_suffix`. The teacher reads `start`, then one side after the
    other. What stands first is a true prefix, and its states do not depend on the other (RaHoRe
    puts the document there). e_T is the state at the last token of the pair; e_D and e_Q are those
    at the last token of either side, read alone after `start`.
    """

    start: tuple[int, ...]
    """What a pair begins with, and a text read alone: the beginning-of-sequence token where the
    tokenizer has one, and the template's lines before the first text."""
    document_prefix: tuple[int, ...]
    document_suffix: tuple[int, ...]
    """White space after the document: of every one, or with `document_space` of one that is cut."""
    query_prefix: tuple[int, ...]
    answer_suffix: tuple[int, ...]
    true_id: int
    false_id: int
    pad_id: int
    max_document_tokens: int
    max_query_tokens: int
    document_first: bool = True
    document_space: tuple[str, str] = ("", "")
    """White space before and after the document that is tokenized with it, as its own."""
    query_space: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class QuerySide:
    """How a query is read alone: head, the last of its tokens, tail."""

    head: tuple[int, ...]
    tail: tuple[int, ...]
    pad: int
    max_tokens: int
    space: tuple[str, str] = ("", "")
    """White space that is tokenized with it."""


class Prompt:
    r"""Turns documents and queries into token ids.

    Text is tokenized apart from the template, with special tokens split into plain characters and
    white space (line breaks included) collapsed: a document that contains `<|query|>` or
    `\nQuery:` stays text.
    """

    def __init__(self, spec: PromptSpec, tokenizer: Any) -> None:
        self.spec = spec
        self.tokenizer = tokenizer

    @property
    def template_ids(self) -> frozenset[int]:
        """Token ids of the fixed parts."""
        spec = self.spec
        return frozenset(
            spec.start
            + spec.document_prefix
            + spec.document_suffix
            + spec.query_prefix
            + spec.answer_suffix
        )

    def documents(self, documents: Sequence[Document]) -> list[list[int]]:
        """Token ids of the document side, after `start`."""
        spec = self.spec
        head, limit = [*spec.start, *spec.document_prefix], spec.max_document_tokens
        texts = [document.full_text for document in documents]
        return [
            [*head, *ids[:limit], *self.document_tail(cut=len(ids) > limit)]
            for ids in text_ids(self.tokenizer, texts, spec.document_space)
        ]

    def document_tail(self, *, cut: bool) -> tuple[int, ...]:
        """What follows the tokens of a document on its side, whole or cut at its end."""
        spec = self.spec
        white = spec.document_suffix if cut or not spec.document_space[1] else ()
        return white if spec.document_first else (*white, *spec.answer_suffix)

    def queries(self, queries: Sequence[str]) -> list[list[int]]:
        """Token ids of the query side, without `start`."""
        spec, tail = self.spec, self.query_side.tail
        return [
            [*spec.query_prefix, *ids[-spec.max_query_tokens :], *tail]
            for ids in text_ids(self.tokenizer, queries, spec.query_space)
        ]

    @property
    def query_side(self) -> QuerySide:
        """What a query that is read alone is put between."""
        spec = self.spec
        head = (*spec.start, *spec.query_prefix)
        tail = spec.answer_suffix if spec.document_first else ()
        return QuerySide(head, tail, spec.pad_id, spec.max_query_tokens, spec.query_space)

    def alone(self, query_ids: Sequence[Sequence[int]]) -> list[list[int]]:
        """The query side read without a document."""
        return [[*self.spec.start, *ids] for ids in query_ids]

    def in_order(
        self, document_ids: Sequence[Sequence[int]], query_ids: Sequence[Sequence[int]]
    ) -> tuple[Sequence[Sequence[int]], Sequence[Sequence[int]]]:
        """Document and query sides as (what is read first, after `start`; what follows)."""
        if self.spec.document_first:
            return document_ids, query_ids
        start = len(self.spec.start)
        return self.alone(query_ids), [ids[start:] for ids in document_ids]

    def pair(self, document_ids: Sequence[int], query_ids: Sequence[int]) -> list[int]:
        """A document side and a query side as one sequence."""
        (first,), (second,) = self.in_order([document_ids], [query_ids])
        return [*first, *second]

    def save(self, folder: Path) -> None:
        """Write tokenizer and prompt.json."""
        self.tokenizer.save_pretrained(folder)
        values = {field: getattr(self.spec, field.name) for field in fields(self.spec)}
        # Defaults are left out, so that a prompt is written as it was before it had them.
        named = {field.name: value for field, value in values.items() if value != field.default}
        write_json(folder / PROMPT_FILE, named)

    @classmethod
    def load(cls, folder: Path) -> "Prompt":
        """Read what `save` wrote."""
        from transformers import AutoTokenizer

        values = json.loads((folder / PROMPT_FILE).read_text(encoding="utf-8"))
        fields: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        return cls(
            PromptSpec(**fields), AutoTokenizer.from_pretrained(folder, local_files_only=True)
        )


def text_ids(
    tokenizer: Any, texts: Sequence[str], space: tuple[str, str] = ("", "")
) -> list[list[int]]:
    """Token ids of plain text: special tokens are split into characters, white space collapsed.

    Args:
        tokenizer: whose.
        texts: of documents or queries.
        space: white space before and after each, tokenized with it.
    """
    if not texts:
        return []
    before, after = space
    flat = [f"{before}{' '.join(text.split())}{after}" for text in texts]
    ids: list[list[int]] = tokenizer(
        flat, add_special_tokens=False, split_special_tokens=True, return_attention_mask=False
    )["input_ids"]
    return ids
