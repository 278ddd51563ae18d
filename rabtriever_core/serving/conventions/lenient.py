"""What the requests of other services have in common."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from rabtriever_core.data.dataset import Document
from rabtriever_core.serving.messages import MAX_QUERIES, Text


class Lenient(BaseModel):
    """Base of these requests."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)


def _refuse_tokens(value: Any) -> Any:
    first = value[0] if isinstance(value, list) and value else None
    if isinstance(first, int) or (isinstance(first, list) and first and isinstance(first[0], int)):
        raise ValueError(
            "token ids are of another model's vocabulary: send text "
            "(LangChain's OpenAIEmbeddings: check_embedding_ctx_length=False)"
        )
    return value


Texts = Annotated[
    Text | Annotated[list[Text], Field(min_length=1, max_length=MAX_QUERIES)],
    BeforeValidator(_refuse_tokens),
]


def listed(texts: str | list[str]) -> list[str]:
    """One text or several, as several."""
    return [texts] if isinstance(texts, str) else texts


def numbered(index: int, text: str, title: str = "") -> Document:
    """A candidate whose id is its place: equal margins are ordered by id."""
    return Document(f"{index:06d}", text, title)
