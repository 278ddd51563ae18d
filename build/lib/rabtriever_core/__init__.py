"""Rationale-based retrieval: distil an LLM reranker into a dot product (Rabtriever)."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rabtriever_core.serving.answers import Answer, Query
    from rabtriever_core.serving.retriever import Retriever

__version__ = "0.1.0"

__all__ = ["Answer", "Query", "Retriever"]


def __getattr__(name: str) -> Any:
    """The client of applications, loaded when it is asked for: importing this takes no time."""
    if name in __all__:
        from rabtriever_core.serving import answers, retriever

        return getattr(retriever if name == "Retriever" else answers, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
