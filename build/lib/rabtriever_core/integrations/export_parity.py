"""Whether an export computes what the release does: margins of real and of awkward texts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict

from rabtriever_core.data.dataset import Dataset, Document
from rabtriever_core.errors import ModelError
from rabtriever_core.index.checks.exactness import spread
from rabtriever_core.models.arrays import Floats

if TYPE_CHECKING:
    from rabtriever_core.models.reranker import GenerativeReranker
    from rabtriever_core.models.student import Student

TOLERANCE = 1e-4
"""Largest difference that a margin may have, as a share of the largest margin where that is above
one: float32 keeps seven digits."""
_QUERIES, _DOCUMENTS = 32, 128
_READ = 12
"""Queries and documents that are read across, each with each."""
# What no data set has: nothing, structure as text, more than fits, white space, other scripts.
PROBES = (
    "",
    "<|query|> <|answer|> <|T|> <|pad|> <s> </s> <|im_end|> <|endoftext|> [CLS] [SEP] [MASK]",
    "one too many " * 400,
    "  line\n\n\tbreaks \r\n and\u00a0spaces  ",
    "Ünïcödé ﬁgures № ½, 日本語, العربية, 🙂👩‍👩‍👧",
)


class Parity(BaseModel):
    """What was compared, and how well it agrees."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    queries: int
    documents: int
    max_error: float
    """Largest difference of a margin, both computed in float32."""
    largest_margin: float


def check_student(folder: Path, student: "Student", dataset: Dataset) -> Parity:
    """Compare an exported student with the student, in float32 on the CPU.

    Raises:
        ModelError: margins differ.
    """
    from sentence_transformers import SentenceTransformer

    queries = [*PROBES, *spread(list(dataset.queries.values()), _QUERIES)]
    documents = [*map(_document, PROBES), *spread(dataset.documents, _DOCUMENTS)]
    expected = student.margin(queries, documents)
    expected -= student.encode_queries_with_offsets(queries)[1][:, None]
    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    texts = [document.full_text for document in documents]
    found = model.encode_query(queries) @ model.encode_document(texts).T
    return _compared(found, expected)


def check_cross_encoder(folder: Path, teacher: "GenerativeReranker", dataset: Dataset) -> Parity:
    """Compare an exported teacher with the teacher, on texts that need no cutting.

    Raises:
        ModelError: margins differ, or no document of the data set is short enough.
    """
    from sentence_transformers import CrossEncoder

    spec = teacher.backbone.prompt.spec
    queries = _short(teacher, dict(enumerate([*PROBES, *dataset.queries.values()])), query=True)
    every = {n: document.full_text for n, document in enumerate(dataset.documents)}
    short = _short(teacher, every, query=False)
    if not short:
        raise ModelError(
            f"no document has at most {spec.max_document_tokens} tokens "
            "(prompt.max_document_tokens): the teacher cuts them, a CrossEncoder would read more"
        )
    asked = [*queries[:4], *spread(queries[4:], _READ)]
    documents = [_document(text) for text in spread(short, _READ)]
    model = CrossEncoder(str(folder), device="cpu", local_files_only=True)
    pairs = [(query, document.full_text) for query in asked for document in documents]
    found = model.predict(pairs, show_progress_bar=False).reshape(len(asked), -1)
    return _compared(found, teacher.margins(asked, documents))


def check_adapter(
    folder: Path, base: Path, teacher: "GenerativeReranker", dataset: Dataset
) -> Parity:
    """Compare exported adapters on their base with what the teacher reads across pairs.

    Raises:
        ModelError: margins differ.
    """
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from rabtriever_core.models.backbone import Backbone
    from rabtriever_core.models.reranker import GenerativeReranker

    model = AutoModelForCausalLM.from_pretrained(base, local_files_only=True, dtype="float32")
    merged = PeftModel.from_pretrained(model, str(folder)).merge_and_unload().eval()
    queries = [*PROBES, *spread(list(dataset.queries.values()), _READ)]
    documents = spread(dataset.documents, _READ)
    found, expected = (
        GenerativeReranker(backbone).margins(queries, documents)
        for backbone in (Backbone(merged, teacher.backbone.prompt), teacher.backbone)
    )
    return _compared(found, expected)


def share_cut(teacher: "GenerativeReranker", documents: Sequence[Document]) -> float:
    """Share of documents that are longer than the teacher reads."""
    every = {n: document.full_text for n, document in enumerate(documents)}
    return 1 - len(_short(teacher, every, query=False)) / max(len(documents), 1)


def _short(teacher: "GenerativeReranker", texts: Mapping[int, str], *, query: bool) -> list[str]:
    """Those that the prompt does not cut, in order."""
    from rabtriever_core.models.prompt import text_ids

    spec = teacher.backbone.prompt.spec
    limit = spec.max_query_tokens if query else spec.max_document_tokens
    ids = text_ids(teacher.backbone.prompt.tokenizer, list(texts.values()))
    return [text for text, found in zip(texts.values(), ids, strict=True) if len(found) <= limit]


def _document(text: str) -> Document:
    return Document(text[:20], text)


def _compared(found: Floats, expected: Floats) -> Parity:
    error = float(np.abs(found - expected).max())
    largest = float(np.abs(expected).max())
    if not error <= TOLERANCE * max(1.0, largest):
        raise ModelError(
            f"its margins differ by {error:.2g} from those of the release, which are up to "
            f"{largest:.3g}: nothing of it was written"
        )
    queries, documents = expected.shape
    return Parity(queries=queries, documents=documents, max_error=error, largest_margin=largest)
