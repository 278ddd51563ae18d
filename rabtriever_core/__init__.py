"""Rationale-based retrieval: distil an LLM reranker into a dot product (Rabtriever)."""

__version__ = "0.1.0"
