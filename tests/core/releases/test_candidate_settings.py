"""The settings of a record: as artifacts were made, and all that only operates as it is now."""

from types import SimpleNamespace
from typing import Any, cast

from rabtriever_core.config import Settings
from rabtriever_core.releases.candidate import _settings
from rabtriever_core.workspace import Workspace


def test_operating_settings_are_not_lost(tmp_path: Any) -> None:
    settings = Settings.model_validate(
        {"index": {"keep_collections": 7, "exact": True}, "runtime": {"threads": 2, "seed": 1}}
    )
    config = {
        "index": {"exact": False, "gauge": {"method": "pca"}},
        "runtime": {"seed": 3},
        "backbone.lora": None,
    }
    artifact = SimpleNamespace(meta=SimpleNamespace(config=config))
    recorded = _settings(Workspace(tmp_path, settings), cast(Any, {"qdrant_collection": artifact}))
    assert (recorded["index"]["keep_collections"], recorded["index"]["exact"]) == (7, False)
    assert recorded["index"]["gauge"]["method"] == "pca"
    assert recorded["index"]["gauge"]["fit_queries"] == 4096
    assert (recorded["runtime"]["threads"], recorded["runtime"]["seed"]) == (2, 3)
    assert recorded["backbone"]["lora"] is None
    assert Settings.model_validate(recorded).index.timeout_seconds == 30
