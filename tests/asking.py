"""One question to what is served, as an application asks it that has just started."""

from rabtriever_core.index.filters import SearchFilter
from rabtriever_core.serving.answers import Answer
from rabtriever_core.serving.retriever import Retriever
from rabtriever_core.workspace import Workspace


def ask(
    workspace: Workspace,
    text: str,
    k: int,
    min_probability: float | None = None,
    filter: SearchFilter | None = None,
) -> Answer:
    """Open, ask, close; raises as `Retriever.open` and `Retriever.search`."""
    with Retriever.open(workspace) as retriever:
        return retriever.search(text, k, min_probability=min_probability, filter=filter)
