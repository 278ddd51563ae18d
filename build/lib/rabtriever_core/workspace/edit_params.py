"""Change a params.yaml that people wrote in; their comments and other values stay."""

import io
from pathlib import Path
from typing import Any

from rabtriever_core.config.yaml_text import yaml_problem
from rabtriever_core.errors import ConfigError
from rabtriever_core.workspace.atomic import write_text


def write_dataset_settings(params: Path, values: dict[str, Any]) -> None:
    """Change settings of the section `dataset`.

    Raises:
        ConfigError: the file is not valid YAML.
    """
    yaml, content = _read(params)
    section = content.setdefault("dataset", {})
    if any(name not in section or section[name] != value for name, value in values.items()):
        section.update(values)
        _write(params, yaml, content)


def _read(params: Path) -> tuple[Any, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 10_000
    yaml.representer.add_representer(
        type(None), lambda dumper, _: dumper.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    try:
        return yaml, yaml.load(params) or {}
    except YAMLError as error:
        raise ConfigError(f"{params} is not valid YAML: {yaml_problem(error)}") from None


def _write(params: Path, yaml: Any, content: Any) -> None:
    text = io.StringIO()
    yaml.dump(content, text)
    write_text(params, text.getvalue())
