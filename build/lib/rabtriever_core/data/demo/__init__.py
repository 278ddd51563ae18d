"""A small bundled retrieval task in which the right document never looks like its query."""

from rabtriever_core.data.demo.generate import write_demo

__all__ = ["write_demo"]
