"""Which settings shape results, and which only operate."""

import pytest

from rabtriever_core.config import Settings, shaping_names, shaping_values

SETTINGS = Settings.model_construct()


def test_values_leave_out_what_only_operates() -> None:
    assert shaping_values(SETTINGS, "runtime") == {"seed": 17, "precision": "auto"}
    index = shaping_values(SETTINGS, "index")
    assert index["gauge"] == SETTINGS.index.gauge.model_dump(mode="json")
    assert not {"url", "api_key", "batch_size", "shard_documents"} & set(index)
    assert "changes" not in shaping_values(SETTINGS, "validation")
    assert shaping_values(SETTINGS, "serving") == {"rerank_depth": 20, "rerank_below": 0.9}


def test_a_section_that_shapes_throughout_is_whole() -> None:
    for section in ("dataset", "backbone", "prompt", "teacher", "student", "calibration"):
        whole = getattr(SETTINGS, section).model_dump(mode="json")
        assert shaping_values(SETTINGS, section) == whole
        assert shaping_names(SETTINGS, section) == (section,)


def test_a_single_setting_is_its_value() -> None:
    assert shaping_values(SETTINGS, "serving.rerank_depth") == 20
    assert shaping_names(SETTINGS, "backbone.lora") == ("backbone.lora",)
    assert shaping_values(SETTINGS, "backbone.lora")["rank"] == 16


def test_a_mixed_section_is_named_setting_by_setting() -> None:
    assert shaping_names(SETTINGS, "runtime") == ("runtime.seed", "runtime.precision")
    assert "index.gauge" in shaping_names(SETTINGS, "index")
    assert "benchmark.dev_queries" not in shaping_names(SETTINGS, "benchmark")


@pytest.mark.parametrize(
    "section", ["gates", "automation", "runtime.threads", "validation.changes"]
)
def test_a_section_that_only_operates_is_refused(section: str) -> None:
    with pytest.raises(ValueError, match=f"{section} shapes no results"):
        shaping_values(SETTINGS, section)
