"""params.yaml: short, and read back as it was written."""

import warnings
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from rabtriever_core.config import load_settings
from rabtriever_core.config.params_file import changed_settings, default_settings, params_yaml
from rabtriever_core.stages.registry import STAGES


def test_a_new_file_is_short_and_every_line_says_what_it_does() -> None:
    text = params_yaml(default_settings())
    lines = text.splitlines()
    assert len(lines) < 100
    assert max(map(len, lines)) <= 100
    explained = {line.strip().split(":")[0] for line in lines if "  # " in line}
    for before, line in pairwise(lines):
        key = line.strip().split(":")[0]
        assert not line or "#" in line or "# " in before or key in explained, line


def test_a_new_file_has_every_section_that_shapes_a_stage() -> None:
    written = yaml.safe_load(params_yaml(default_settings()))
    sections = {name.split(".")[0] for stage in STAGES for name in stage.sections}
    assert sections - {"baselines"} <= set(written)  # a section that is being retired
    assert all(written.values())


def test_a_new_file_gives_the_defaults_back(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(params_yaml(default_settings()), encoding="utf-8")
    assert load_settings(path) == default_settings()


@pytest.mark.parametrize(
    "override",
    [
        "backbone.lora=null",
        "backbone.lora.rank=8",
        "teacher.dpo.schedule.patience=5",
        "student.schedule.max_steps=700",
        "validation.changes.leaked_queries=warn",
        "releases.keep=3",
        "index.gauge={method: pca, dimensions: 8}",
        "serving.cors_origins=['https://example.org']",
    ],
)
def test_what_differs_from_the_defaults_is_written(tmp_path: Path, override: str) -> None:
    changed = load_settings(None, (override,))
    path = tmp_path / "params.yaml"
    path.write_text(params_yaml(changed), encoding="utf-8")
    assert load_settings(path) == changed != default_settings()
    assert all(name.startswith(override.split("=")[0]) for name in changed_settings(changed))


def test_several_shares_are_written_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("teacher: {start_share: [0, 0.5, 1], cosine_scale: 20}")
    teacher = load_settings(path).teacher
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # pydantic warns of values that are not of their type
        path.write_text(params_yaml(load_settings(path)))
    assert load_settings(path).teacher == teacher
    assert teacher.start_share == (0.0, 0.5, 1.0)
