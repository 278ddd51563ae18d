"""Reading settings: what is wrong is named with where it was set, and old names stay readable."""

import logging
from pathlib import Path

import pytest
import yaml

from rabtriever_core.config import IndexConfig, Settings, load_settings
from rabtriever_core.config.loading import _warn
from rabtriever_core.config.params_file import default_settings
from rabtriever_core.config.retired import MOVED, REASONS, current_values
from rabtriever_core.errors import ConfigError

OLD = Path(__file__).parent / "data" / "params_6ce070c.yaml"
"""Every setting of 6ce070c with its default."""


def defaults_of_old() -> Settings:
    """Today's defaults, but for those that were others then: what the file says holds."""
    defaults = default_settings()
    runtime = defaults.runtime.model_copy(update={"precision": "float32"})
    return defaults.model_copy(update={"runtime": runtime})


@pytest.fixture(autouse=True)
def warns_again() -> None:
    _warn.cache_clear()


def test_the_whole_file_of_an_earlier_version_gives_the_defaults(
    caplog: pytest.LogCaptureFixture,
) -> None:
    old = yaml.safe_load(OLD.read_text(encoding="utf-8"))
    gone = {
        name
        for name in {*MOVED, *REASONS} - {"baselines"}
        if not _is_setting(name) and _value(old, name) is not None
    }
    assert {"index.canaries"} <= gone
    with caplog.at_level(logging.WARNING):
        assert load_settings(OLD) == defaults_of_old()
    warned = [record.getMessage().split(": ", 1)[1].split()[0] for record in caplog.records]
    assert sorted(warned) == sorted(gone)


def _is_setting(name: str) -> bool:
    value: object = Settings.model_construct()
    for part in name.split("."):
        value = getattr(value, part, None)
    return value is not None


def _value(values: object, name: str) -> object:
    for part in name.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values


def test_a_renamed_setting_keeps_its_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("index: {canaries: 4}")
    assert load_settings(path).index.probe_queries == 4
    assert caplog.messages == [f"{path}: index.canaries is index.probe_queries now"]
    monkeypatch.setenv("RABTRIEVER_INDEX__CANARIES", "5")
    assert load_settings(path).index.probe_queries == 5
    assert load_settings(path, ("index.canaries=6",)).index.probe_queries == 6
    origins = [message.split(": ")[0] for message in caplog.messages]
    assert origins == [str(path), "RABTRIEVER_INDEX__CANARIES", "--set"]


def test_a_settings_new_name_wins_over_its_old_one(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("index: {probe_queries: 3, canaries: 4}")
    assert load_settings(path).index.probe_queries == 3


def test_stored_settings_are_read_by_todays_names_without_a_word(
    caplog: pytest.LogCaptureFixture,
) -> None:
    old = yaml.safe_load(OLD.read_text(encoding="utf-8"))
    assert Settings.model_validate(current_values(Settings, old)) == defaults_of_old()
    section = old["index"] | {"canaries": 7}
    assert IndexConfig.model_validate(current_values(IndexConfig, section, "index")) == (
        IndexConfig(probe_queries=7)
    )
    assert not caplog.records


def test_an_unknown_name_of_a_stored_section_stays_an_error() -> None:
    assert current_values(IndexConfig, {"future": 1}, "index") == {"future": 1}


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("teacher.schedule.epoch", "teacher.schedule.epochs"),
        ("teacher.epochs", "teacher.schedule.epochs"),
        ("teachers.method", "teacher"),
        ("student.batch_size", "index.batch_size"),
        ("student.temperatur", "student.temperature"),
        ("runtime.threds", "runtime.threads"),
    ],
)
def test_unknown_names_are_told_with_the_nearest(name: str, nearest: str) -> None:
    wanted = rf"^invalid settings: --set: {name.split('.')[0]}.*: no such setting; did you mean "
    with pytest.raises(ConfigError, match=wanted) as found:
        load_settings(None, (f"{name}=1",))
    assert str(found.value).endswith(f"did you mean {nearest}?")


def test_a_name_like_no_other_points_to_the_reference() -> None:
    with pytest.raises(ConfigError, match=r"xyz: no such setting; docs/reference/settings\.md"):
        load_settings(None, ("xyz=1",))


def test_every_problem_is_told_once_with_where_it_was_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("runtime: {sed: 1}\nteacher: {schedule: {epochs: -1}}\nstudent: 3\n1: a")
    monkeypatch.setenv("RABTRIEVER_INDEX__BATCH_SIZE", "many")
    monkeypatch.setenv("RABTRIEVER_GATE__MAX_LOSS", "0")
    monkeypatch.setenv("RABTRIEVER_WORKSPACE", str(tmp_path))  # no setting of a section
    with pytest.raises(ConfigError) as found:
        load_settings(path, ("runtime.device=tpu", "backbone.lora.target_modules=[1, {}]"))
    assert str(found.value).removeprefix("invalid settings: ").splitlines() == [
        f"{path}: runtime.sed: no such setting; did you mean runtime.seed?",
        f"{path}: student = 3: a section has no value of its own; set one of its settings.",
        f"{path}: 1: no such setting; docs/reference/settings.md lists them all.",
        "RABTRIEVER_GATE__MAX_LOSS: gate: no such setting; did you mean gates?",
        "--set: runtime.device = 'tpu': Input should be 'auto', 'cpu', 'cuda' or 'mps'.",
        "--set: backbone.lora.target_modules = [1, {}]: Input should be a valid string.",
        "--set: backbone.lora.target_modules.0 = 1: Input should be a valid string.",
        "--set: backbone.lora.target_modules.1 = {}: Input should be a valid string.",
        f"{path}: teacher.schedule.epochs = -1: Input should be greater than 0.",
        "RABTRIEVER_INDEX__BATCH_SIZE: index.batch_size = 'many': Input should be a valid "
        "integer, unable to parse string as an integer.",
    ]


def test_settings_that_do_not_fit_together_name_where_each_was_set(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("student: {schedule: {max_steps: 3}}")
    with pytest.raises(ConfigError) as found:
        load_settings(path, ("student.schedule.min_steps=9",))
    assert str(found.value) == (
        f"invalid settings: {path}, --set: student.schedule: min_steps 9 is above max_steps 3."
    )


def test_a_section_left_empty_has_its_defaults(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("teacher:\n  schedule:\ngates:\nbackbone: {lora: null}")
    settings = load_settings(path)
    assert (settings.teacher, settings.gates) == (default_settings().teacher, Settings().gates)
    assert settings.backbone.lora is None
    assert load_settings(path, ("backbone.lora.rank=8",)).backbone.lora is not None


def test_a_variable_may_hold_a_section(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RABTRIEVER_TEACHER__METHOD", "dpo")
    monkeypatch.setenv("RABTRIEVER_TEACHER", '{"method": "sft+dpo", "dpo": {"beta": 0.5}}')
    monkeypatch.setenv("RABTRIEVER_VALIDATION__LABELS", "[0, 1]")
    settings = load_settings(None)
    assert (settings.teacher.method, settings.teacher.dpo.beta) == ("dpo", 0.5)
    assert settings.validation.labels == (0, 1)


def test_an_overrides_value_that_is_not_yaml_is_named() -> None:
    with pytest.raises(ConfigError, match=r"--set 'dataset.name=\[': the value is not valid YAML"):
        load_settings(None, ("dataset.name=[",))
