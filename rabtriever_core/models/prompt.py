"""The document-first prompt, put together from token ids so that text can never forge structure."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rabtriever_core.config import PromptConfig
from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import ModelError

PROMPT_FILE = "prompt.json"
DOCUMENT_TOKEN, QUERY_TOKEN, ANSWER_TOKEN = "<|document|>", "<|query|>", "<|answer|>"
TRUE_TOKEN, FALSE_TOKEN = "<|T|>", "<|F|>"
SPECIAL_TOKENS = (
    "<|pad|>", DOCUMENT_TOKEN, QUERY_TOKEN, ANSWER_TOKEN, TRUE_TOKEN, FALSE_TOKEN
)  # fmt: skip


@dataclass(frozen=True)
class PromptSpec:
    """The fixed parts of the prompt, as token ids of one tokenizer.

    Document side: `document_prefix + D + document_suffix`; query side: `query_prefix + Q +
    answer_suffix`. The teacher reads one after the other, so the document side is a true prefix
    and its states do not depend on the query (RaHoRe). e_D is the state at the last token of the
    document side, e_Q and e_T at the last token of the query side.
    """

    start: tuple[int, ...]
    """Beginning-of-sequence token, where the tokenizer has one."""
    document_prefix: tuple[int, ...]
    document_suffix: tuple[int, ...]
    query_prefix: tuple[int, ...]
    answer_suffix: tuple[int, ...]
    true_id: int
    false_id: int
    pad_id: int
    max_document_tokens: int
    max_query_tokens: int


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

    def alone(self, query_ids: Sequence[Sequence[int]]) -> list[list[int]]:
        """The query side read without a document."""
        return [[*self.spec.start, *ids] for ids in query_ids]

    def save(self, folder: Path) -> None:
        """Write tokenizer and prompt.json."""
        self.tokenizer.save_pretrained(folder)
        (folder / PROMPT_FILE).write_text(
            json.dumps(asdict(self.spec), indent=2) + "\n", encoding="utf-8"
        )

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
        if not texts:
            return []
        flat = [" ".join(text.split()) for text in texts]
        ids: list[list[int]] = self.tokenizer(
            flat, add_special_tokens=False, split_special_tokens=True, return_attention_mask=False
        )["input_ids"]
        return ids


def make_prompt(tokenizer: Any, config: PromptConfig, *, tiny: bool) -> Prompt:
    """Build the prompt for a tokenizer.

    Raises:
        ModelError: T or F is not a single token of this tokenizer, or both are the same token.
    """
    template = config.template
    if template == "auto":
        template = "compact" if tiny else "paper"
    if template == "compact":
        answers = (TRUE_TOKEN, FALSE_TOKEN)
        _require_tokens(tokenizer, SPECIAL_TOKENS[1:])
        parts = {
            "document_prefix": DOCUMENT_TOKEN,
            "document_suffix": "",
            "query_prefix": QUERY_TOKEN,
            "answer_suffix": ANSWER_TOKEN,
        }
    else:
        answers = (config.true_answer, config.false_answer)
        question = config.question.format(true=answers[0], false=answers[1])
        parts = {
            "document_prefix": "Document: ",
            "document_suffix": "\n",
            "query_prefix": "Query: ",
            "answer_suffix": f"\n{question}\nAnswer:",
        }
    true_id, false_id = _answer_ids(tokenizer, *answers)
    ids = {
        name: tuple(tokenizer(text, add_special_tokens=False)["input_ids"]) if text else ()
        for name, text in parts.items()
    }
    start = () if tokenizer.bos_token_id is None else (tokenizer.bos_token_id,)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    spec = PromptSpec(
        start=start,
        document_prefix=ids["document_prefix"],
        document_suffix=ids["document_suffix"],
        query_prefix=ids["query_prefix"],
        answer_suffix=ids["answer_suffix"],
        true_id=true_id,
        false_id=false_id,
        pad_id=0 if pad is None else pad,
        max_document_tokens=config.max_document_tokens,
        max_query_tokens=config.max_query_tokens,
    )
    return Prompt(spec, tokenizer)


def _answer_ids(tokenizer: Any, true: str, false: str) -> tuple[int, int]:
    """Ids of the two answers, with a leading space where that makes them single tokens."""
    found: dict[str, list[str]] = {}
    for space in (" ", ""):
        texts = [space + true, space + false]
        ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
        if all(len(answer) == 1 for answer in ids):
            if ids[0] == ids[1]:
                raise ModelError(
                    f"answers {true!r} and {false!r} are the same token {ids[0][0]}: set "
                    "prompt.true_answer and prompt.false_answer apart"
                )
            return ids[0][0], ids[1][0]
        found |= {
            text: tokenizer.convert_ids_to_tokens(answer)
            for text, answer in zip(texts, ids, strict=True)
        }
    raise ModelError(
        f"the answers are not single tokens of this backbone: {found}; set prompt.true_answer and "
        "prompt.false_answer to words that are (for instance Yes and No)"
    )


def _require_tokens(tokenizer: Any, tokens: Sequence[str]) -> None:
    for token in tokens:
        if len(tokenizer(token, add_special_tokens=False)["input_ids"]) != 1:
            raise ModelError(
                f"the compact prompt needs the special token {token}, which this tokenizer lacks: "
                "set prompt.template to `paper`"
            )
