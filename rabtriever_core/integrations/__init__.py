"""Where people already are: the served release inside other libraries, one module for each.

Each module needs an extra of the same name (`pip install 'rabtriever[langchain]'`) and says so.
"""

from rabtriever_core.errors import ConfigError


def missing_extra(extra: str, error: ImportError) -> ConfigError:
    """What to say where the library of an integration cannot be imported."""
    return ConfigError(
        f"this integration needs a library that is not installed ({error}): `pip install "
        f"'rabtriever[{extra}]'`"
    )
