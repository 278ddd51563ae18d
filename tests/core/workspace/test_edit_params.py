"""An old params.yaml is brought to today's names; what people wrote in it stays."""

import logging
from pathlib import Path

import pytest

from rabtriever_core.config import load_settings
from rabtriever_core.config.loading import _warn
from rabtriever_core.config.retired import MOVED, REASONS
from rabtriever_core.workspace.edit_params import renew_settings

OLD = Path(__file__).parents[1] / "config" / "data" / "params_6ce070c.yaml"


def test_an_old_file_is_renewed_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    params = tmp_path / "params.yaml"
    text = OLD.read_text(encoding="utf-8")
    params.write_text(text.replace("canaries: 20", "canaries: 7"), encoding="utf-8")
    before = load_settings(params)
    found = renew_settings(params)
    assert set(MOVED) <= set(found) <= {*MOVED, *REASONS}
    assert "probe_queries: 7" in params.read_text(encoding="utf-8")
    assert "# Every setting of the pipeline." in params.read_text(encoding="utf-8")
    _warn.cache_clear()
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert load_settings(params) == before
    assert not caplog.records
    assert before.index.probe_queries == 7
    assert renew_settings(params) == []


def test_a_file_that_is_linked_is_replaced(tmp_path: Path) -> None:
    params, other = tmp_path / "params.yaml", tmp_path / "other.yaml"
    other.write_text("teacher: {focal_gamma: 2}\n", encoding="utf-8")
    params.hardlink_to(other)
    assert renew_settings(params) == ["teacher.focal_gamma"]
    assert "focal_gamma" in other.read_text(encoding="utf-8")
