"""Settings: bad values name themselves, and flags win over environment over file."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rabtriever_core.config import AutomationConfig, Settings, load_settings
from rabtriever_core.config.params_file import default_settings, params_yaml
from rabtriever_core.errors import ConfigError


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("QDRANT_URL", "QDRANT_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def params(folder: Path, text: str) -> Path:
    path = folder / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("teacher: {schedule: {epochs: -1}}", r"teacher\.schedule\.epochs = -1: .*greater than 0"),
        ("teacher: {schedule: {epoch: 1}}", r"teacher\.schedule\.epoch: no such setting"),
        ("teachers: {}", r"teachers: no such setting; did you mean teacher\?"),
        ("runtime: {device: tpu}", r"runtime\.device = 'tpu': .*'auto', 'cpu', 'cuda' or 'mps'"),
        ("dataset: {name: 'a b'}", r"dataset\.name = 'a b'"),
        ("index: {batch_size: many}", r"index\.batch_size = 'many'"),
        ("backbone: {tiny: {heads: 3}}", r"backbone\.tiny.*multiple of heads 3"),
        ("student: {schedule: {min_steps: 9, max_steps: 3}}", r"min_steps 9 is above max_steps 3"),
        ("student: {query_encoder: lora}\nbackbone: {lora: null}", r"backbone\.lora.* is null"),
        ("- a", "must be a mapping of sections, got list"),
        ("a: [", "is not valid YAML"),
    ],
)
def test_bad_values_name_the_setting(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        load_settings(params(tmp_path, text))


def test_a_missing_file_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="rabtriever init"):
        load_settings(tmp_path / "params.yaml")


def test_environment_over_file_over_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RABTRIEVER_RUNTIME__SEED", "3")
    settings = load_settings(params(tmp_path, "runtime: {seed: 2}\nindex: {probe_queries: 2}"))
    assert (settings.runtime.seed, settings.index.probe_queries) == (3, 2)
    assert settings.benchmark == default_settings().benchmark


def test_flags_over_environment_over_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RABTRIEVER_STUDENT__TEMPERATURE", "3")
    path = params(tmp_path, "student: {temperature: 2}\nruntime: {seed: 2}")
    settings = load_settings(path, ("student.temperature=4", "validation.labels=[0, 1]"))
    assert settings.student.temperature == 4
    assert settings.runtime.seed == 2
    assert settings.validation.labels == (0, 1)


def test_a_partial_schedule_keeps_the_defaults_of_its_place(tmp_path: Path) -> None:
    path = params(tmp_path, "student: {schedule: {max_steps: 700}}")
    settings = load_settings(path, ("bi_encoder.schedule.min_steps=7",))
    default = default_settings()
    assert settings.student.schedule == default.student.schedule.model_copy(
        update={"max_steps": 700}
    )
    assert settings.bi_encoder.schedule == default.bi_encoder.schedule.model_copy(
        update={"min_steps": 7}
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("student.temperature", "expected section.name=value"),
        ("students.temperature=1", r"students: no such setting; did you mean student\?"),
        ("student.temperature.x=1", r"student\.temperature = {'x': 1}: .*a valid number"),
        ("student.temperatur=1", r"student\.temperatur: no such setting"),
        ("student.temperature=0", r"student\.temperature = 0"),
    ],
)
def test_bad_overrides_are_named(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_settings(params(tmp_path, ""), (override,))


def test_qdrants_own_variables_win_and_the_key_is_written_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QDRANT_URL", "http://host:6333")
    monkeypatch.setenv("QDRANT_API_KEY", "secret")
    settings = load_settings(params(tmp_path, "index: {url: 'http://other'}"))
    assert (settings.index.url, settings.index.api_key) == ("http://host:6333", "secret")
    assert "secret" not in f"{settings!r} {settings.model_dump()} {params_yaml(settings)}"


def test_defaults_ignore_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RABTRIEVER_RUNTIME__SEED", "3")
    assert default_settings().runtime.seed == 17


def test_pairs_replace_the_bi_encoders_epochs() -> None:
    config = Settings().bi_encoder
    same = config.model_copy(update={"pairs": 43_200})
    assert same.steps(999_999) == same.steps(10) == 43_200 // (48 * 2)
    assert config.steps(960) == config.schedule.steps(960) == 100
    assert config.model_copy(update={"pairs": 1}).steps(10) == 1


@pytest.mark.parametrize(
    ("cron", "message"),
    [
        ("every monday", "not a cron schedule"),
        ("61 3 * * 1", "not a cron schedule"),
        ("0 0 30 2 *", "not a cron schedule"),
        ("0 0 3 * * 1", "five fields, not 6"),
    ],
)
@pytest.mark.parametrize("setting", ["retrain_cron", "reindex_cron", "canary_cron"])
def test_schedules_that_never_come_are_named(
    tmp_path: Path, setting: str, cron: str, message: str
) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(f"automation: {{{setting}: {cron!r}}}")
    with pytest.raises(ConfigError, match=rf"automation\.{setting} = .*{message}"):
        load_settings(path)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.sampled_from(["*", "*/5", "1-3", "1,2", "MON", "L", "H", "?", "@daily", "30", "2"]),
            st.integers(-1, 62).map(str),
        ),
        min_size=1,
        max_size=6,
    ).map(" ".join)
)
def test_every_schedule_that_is_accepted_is_one_to_dagster(cron: str) -> None:
    from dagster._utils.schedules import is_valid_cron_string

    try:
        AutomationConfig(retrain_cron=cron)
    except ValueError:
        return
    assert is_valid_cron_string(cron)


def test_the_webhook_is_in_no_message(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("automation: {webhook_url: 'hooks.example/T0KEN'}")
    with pytest.raises(
        ConfigError, match=r"automation\.webhook_url = …: .*not an address"
    ) as found:
        load_settings(path)
    assert "T0KEN" not in str(found.value)


def test_the_webhook_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("")
    monkeypatch.setenv("RABTRIEVER_AUTOMATION__WEBHOOK_URL", "https://hooks.example/x")
    assert load_settings(path).automation.webhook_url == "https://hooks.example/x"
