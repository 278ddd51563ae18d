"""Which extra of this package brings a library that is not installed."""

import re
from importlib import metadata

from rabtriever_core.errors import ConfigError

# Modules whose distribution is not called like them.
_DISTRIBUTIONS = {
    "Stemmer": "pystemmer",
    "haystack": "haystack-ai",
    "llama_index": "llama-index-core",
    "mlflow": "mlflow-skinny",
    "pythonjsonlogger": "python-json-logger",
    "qdrant_edge": "qdrant-edge-py",
    "ruamel": "ruamel-yaml",
}
_REQUIREMENT = re.compile(r"""([\w.-]+).*;\s*extra\s*==\s*['"]([\w-]+)['"]""")


def missing_extra(extra: str, error: ImportError) -> ConfigError:
    """What to say where the library of an extra cannot be imported."""
    return ConfigError(
        f"this needs a library that is not installed ({error}): `pip install 'rabtriever[{extra}]'`"
    )


def extra_of(error: BaseException) -> str | None:
    """The smallest extra with the library that an import did not find; None for other errors."""
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return None
    module = error.name.partition(".")[0]
    wanted = _normal(_DISTRIBUTIONS.get(module, module))
    for requirement in metadata.requires("rabtriever") or ():
        found = _REQUIREMENT.match(requirement)
        if found and _normal(found[1]) == wanted:
            return found[2]
    return None


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
