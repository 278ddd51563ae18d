"""Whatever a file, a variable or `--set` says, it is read, or refused with one error."""

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rabtriever_core.config import Settings, load_settings, secrets
from rabtriever_core.config.component import setting_names
from rabtriever_core.errors import ConfigError
from tests.core.any_text import any_text

NAMES = st.sampled_from(sorted(setting_names(Settings)))
# What YAML takes for dates, numbers and references, and what each of them may be broken.
ODD = [
    "2001-13-45",
    "0x_",
    "0b_",
    "1:99",
    ".nan",
    "-.inf",
    "*a",
    "!!int x",
    "[[[",
    "{{",
    "? ",
    "<<",
]
TEXTS = any_text | st.sampled_from([*ODD, "null", "true", "1e400", "-1", "1.5", "[]", "a: b", ""])
PLAIN = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | any_text
VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PLAIN, inner, max_size=3)
)


@pytest.fixture(scope="module", autouse=True)
def _nothing_stays_secret() -> Iterator[None]:
    """What was drawn as a key is not taken out of other tests' messages."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(secrets, "_known", set())
        yield


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("settings") / "params.yaml"


def check(file: Path | None, *overrides: str) -> None:
    """Read, and the same when written and read again; or refused in a text that can be printed."""
    try:
        found = load_settings(file, overrides)
    except ConfigError as error:
        assert str(error).strip()
        return
    written = found.model_dump_json()
    again = Settings.model_validate(json.loads(written))
    # Compared as they are written: secrets never are.
    assert again.model_dump_json() == written


def _nested(name: str, value: Any) -> dict[str, Any]:
    for part in reversed(name.split(".")):
        value = {part: value}
    return value


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=40) | TEXTS.map(lambda text: text.encode(errors="surrogatepass")))
@example(b"runtime:\n  seed: 2001-13-45\n")
@example(b"[" * 5000)
def test_any_file(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    check(file)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(NAMES, VALUES), min_size=1, max_size=3), VALUES, VALUES)
def test_any_values(file: Path, said: list[tuple[str, Any]], key: Any, value: Any) -> None:
    values: dict[Any, Any] = {}
    for name, given_ in said:
        values |= _nested(name, given_)
    if not isinstance(key, dict | list):
        values[key] = value
    file.write_text(yaml.safe_dump(values, allow_unicode=True), "utf-8", "surrogatepass")
    check(file)


@settings(max_examples=150, deadline=None)
@given(st.builds("{}={}".format, NAMES | TEXTS, TEXTS) | TEXTS)
@example("runtime.seed=2001-13-45")
@example("runtime.seed=0x_")
@example("runtime.seed=" + "[" * 5000)
def test_any_override(override: str) -> None:
    check(None, override)


@settings(max_examples=150, deadline=None)
@given(NAMES, TEXTS | VALUES.map(json.dumps))
@example("runtime.seed", "[" * 100_000)
def test_any_variable(name: str, value: str) -> None:
    variable = f"RABTRIEVER_{name.replace('.', '__').upper()}"
    if "\0" in value or any("\ud800" <= c <= "\udc7f" or "\udd00" <= c <= "\udfff" for c in value):
        return  # no environment can hold it
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(variable, value)
        assert os.environ[variable] == value
        check(None)


@settings(max_examples=100, deadline=None)
@given(NAMES, st.floats(allow_nan=True))
@example("gates.significance", float("nan"))
def test_numbers_that_are_none_are_refused(name: str, number: float) -> None:
    """Not a number, or infinite: comparisons with it would silently hold, or never."""
    try:
        found: Any = load_settings(None, (f"{name}={yaml.safe_dump(number).splitlines()[0]}",))
    except ConfigError:
        return
    for part in name.split("."):
        found = getattr(found, part)
    assert not isinstance(found, float) or math.isfinite(found)
