"""Values of YAML texts that people wrote, and what is wrong with those that have none."""

import re
from typing import Any

from rabtriever_core.config.secrets import without_secrets
from rabtriever_core.errors import ConfigError


def parsed_yaml(text: str | bytes, named: str) -> Any:
    """The value of a YAML text.

    Raises:
        ConfigError: it is none; says so of what is `named`.
    """
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{named} is not valid YAML: {yaml_problem(error)}") from None
    except RecursionError:
        raise ConfigError(f"{named} is not valid YAML: it is nested too deeply") from None
    # PyYAML lets through what making a date or a number of a word raises.
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"{named} is not valid YAML: a value that looks like a date or a number is none "
            f"({without_secrets(str(error))}): put it in quotes"
        ) from None


def yaml_problem(error: Any) -> str:
    """What is wrong with a YAML text, and where, without its lines: they may hold secrets."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return without_secrets(" ".join(str(error).split()))
    problem = str(error.problem).partition(" with value")[0]  # of a key that is there twice
    problem = re.sub(r"""(['"])[^'"]{3,}\1""", "…", problem)
    return f"{problem}, line {mark.line + 1}, column {mark.column + 1}"
