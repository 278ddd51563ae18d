"""Where people already are: the served release inside other libraries, one module for each.

Each module needs an extra of the same name (`pip install 'rabtriever[langchain]'`) and says so.
"""

from rabtriever_core.extras import missing_extra

__all__ = ["missing_extra"]
