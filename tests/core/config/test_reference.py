"""The reference of all settings."""

from pathlib import Path

import pytest

from rabtriever_core.config import Settings
from rabtriever_core.config.component import setting_names
from rabtriever_core.config.reference import settings_reference
from rabtriever_core.stages.registry import STAGES
from rabtriever_core.stages.settings_reference import reference_page

COMMITTED = Path(__file__).parents[3] / "docs" / "reference" / "settings.md"


def test_the_committed_reference_is_generated() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == reference_page(), "run `make generated`"


def test_it_names_every_setting_and_its_stages() -> None:
    page = reference_page()
    for name in setting_names(Settings):
        section, _, rest = name.partition(".")
        assert f"## `{section}`" in page
        assert not rest or f"`{rest}`" in page or ".schedule." in f".{rest}" or "warmup." in rest
    assert "| `index.canaries` | is `index.probe_queries` now |" in page
    assert "| `threads` | integer ≥ 1 or null | `null` | CPU threads of torch" in page
    (row,) = [line for line in page.splitlines() if line.startswith("| `fit_queries`")] or [""]
    assert not row  # nested settings are named with their section
    (row,) = [line for line in page.splitlines() if "`gauge.fit_queries`" in line]
    assert row.endswith("| qdrant_collection, benchmark_report |")


def test_a_setting_that_neither_shapes_nor_operates_is_an_error() -> None:
    stages = {stage.name: stage.sections for stage in STAGES if stage.name != "calibration"}
    stages["benchmark_report"] = ("benchmark",)
    with pytest.raises(ValueError, match=r"calibration\.method shapes no stage"):
        settings_reference(stages)
