"""The document-first prompt, put together from token ids so that text can never forge structure."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rabtriever_core.data.dataset import Document
from rabtriever_core.workspace.atomic import write_json

PROMPT_FILE = "prompt.json"


@dataclass(frozen=True)
class PromptSpec:
    """The fixed parts of the prompt, as token ids of one tokenizer.

    Document side: `document_prefix + D + document_suffix`; query side: `query_prefix + Q +
    answer_suffix`. The teacher reads one after the other, so the document side is a true prefix
    and its states do not depend on the query (RaHoRe). e_D is the state at the last token of the
    document side, e_Q and e_T at the last token of the query side.
    """

    start: tuple[int, ...]
    """What stands before the document, and before a query read alone: the beginning-of-sequence
    token where the tokenizer has one, or the opening of its chat template."""
    document_prefix: tuple[int, ...]
    document_suffix: tuple[int, ...]
    query_prefix: tuple[int, ...]
    answer_suffix: tuple[int, ...]
    true_id: int
    false_id: int
    pad_id: int
    max_document_tokens: int
    max_query_tokens: int


@dataclass(frozen=True)
class QuerySide:
    """How a query is read alone: head, the last of its tokens, tail."""

    head: tuple[int, ...]
    tail: tuple[int, ...]
    pad: int
    max_tokens: int


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
        """Token ids of the document side."""
        spec = self.spec
        head = [*spec.start, *spec.document_prefix]
        texts = self._text_ids([document.full_text for document in documents])
        return [[*head, *ids[: spec.max_document_tokens], *spec.document_suffix] for ids in texts]

    def queries(self, queries: Sequence[str]) -> list[list[int]]:
        """Token ids of the query side as it follows a document."""
        spec = self.spec
        return [
            [*spec.query_prefix, *ids[-spec.max_query_tokens :], *spec.answer_suffix]
            for ids in self._text_ids(queries)
        ]

    @property
    def query_side(self) -> QuerySide:
        """What a query that is read alone is put between."""
        spec = self.spec
        head = (*spec.start, *spec.query_prefix)
        return QuerySide(head, spec.answer_suffix, spec.pad_id, spec.max_query_tokens)

    def alone(self, query_ids: Sequence[Sequence[int]]) -> list[list[int]]:
        """The query side read without a document."""
        return [[*self.spec.start, *ids] for ids in query_ids]

    def save(self, folder: Path) -> None:
        """Write tokenizer and prompt.json."""
        self.tokenizer.save_pretrained(folder)
        write_json(folder / PROMPT_FILE, asdict(self.spec))

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

    def _text_ids(self, texts: Sequence[str]) -> list[list[int]]:
        return text_ids(self.tokenizer, texts)


def text_ids(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of plain text: special tokens are split into characters, white space collapsed."""
    if not texts:
        return []
    flat = [" ".join(text.split()) for text in texts]
    ids: list[list[int]] = tokenizer(
        flat, add_special_tokens=False, split_special_tokens=True, return_attention_mask=False
    )["input_ids"]
    return ids
