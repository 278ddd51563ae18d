"""The definitions as another environment gives them: loaded anew, then forgotten."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import pytest

PACKAGE = "dagster_project"


@contextmanager
def loaded(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Iterator[ModuleType]:
    """`dagster_project.definitions` under these environment variables; the usual one afterwards."""
    kept = {name: module for name, module in sys.modules.items() if name.startswith(PACKAGE)}
    for name in kept:
        del sys.modules[name]
    with monkeypatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        try:
            yield importlib.import_module(f"{PACKAGE}.definitions")
        finally:
            for name in [name for name in sys.modules if name.startswith(PACKAGE)]:
                del sys.modules[name]
            sys.modules.update(kept)
