"""Keys and addresses that hold one: white space goes, nothing is ever shown."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from rabtriever_core.config import Settings, load_settings
from rabtriever_core.config.secrets import keep_secret, without_secrets
from rabtriever_core.errors import ConfigError
from rabtriever_core.workspace.edit_params import write_dataset_settings
from rabtriever_core.workspace.provenance import command_line

PLANTED = "Pl4nted-Secret"
KEY, HOOK = "index.api_key", "automation.webhook_url"


def variable(name: str) -> str:
    return f"RABTRIEVER_{name.upper().replace('.', '__')}"


@pytest.mark.parametrize("around", ["{}", "{}\n", " {}\t", "\r\n{}\r\n"])
def test_white_space_around_is_taken_off(around: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QDRANT_URL", around.format("https://host/prefix"))
    monkeypatch.setenv("QDRANT_API_KEY", around.format(PLANTED))
    monkeypatch.setenv(variable(HOOK), around.format("https://hooks.example/T0KEN-x"))
    monkeypatch.setenv("RABTRIEVER_AUTOMATION__UI_URL", around.format("http://ui.example"))
    settings = load_settings(None)
    assert (settings.index.url, settings.index.api_key) == ("https://host/prefix", PLANTED)
    assert settings.automation.webhook_url == "https://hooks.example/T0KEN-x"
    assert settings.automation.ui_url == "http://ui.example"


@pytest.mark.parametrize("empty", ["", " ", "\n"])
def test_a_variable_that_is_empty_says_nothing(
    empty: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("index: {url: 'http://host:6333'}")
    monkeypatch.setenv("QDRANT_URL", empty)
    monkeypatch.setenv("QDRANT_API_KEY", empty)
    settings = load_settings(path)
    assert (settings.index.url, settings.index.api_key) == ("http://host:6333", None)


def test_a_secret_of_digits_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable(KEY), "0123456789")
    assert load_settings(None).index.api_key == "0123456789"
    assert load_settings(None, ("index.api_key=12",)).index.api_key == "12"
    assert load_settings(None, ("index.api_key=null",)).index.api_key is None


def _broken(secret: str) -> list[tuple[str, str]]:
    """(where, what): every way to set a secret wrongly that comes to mind."""
    texts = [f"“{secret}”", f"{secret}\n{secret}", f"{secret}é", f"{secret} {secret}"]
    found = [(place, text) for place in ("QDRANT_API_KEY", variable(KEY)) for text in texts]
    found += [(f"--set {KEY}", text) for text in texts]
    for address in (f"http://me:{secret}@host:6333", f"http://host:6333/?key={secret}"):
        found += [("QDRANT_URL", address), ("--set index.url", address)]
        found += [("RABTRIEVER_AUTOMATION__UI_URL", address)]
    found += [(place, f"hooks/{secret}") for place in (variable(HOOK), f"--set {HOOK}")]
    found += [
        ("RABTRIEVER_INDEX", f'{{"api_key": "{secret}"'),
        ("--set index", f"api_key {secret}"),
    ]
    found += [(f"{variable(KEY)}__PART", secret), (f"--set {KEY}.part", secret)]
    found += [(f"--set {KEY}", f"['{secret}', 'é']")]
    files = [
        f'index:\n  api_key: "{secret}\n',
        f"index:\n  api_key: {secret}é\n",
        f"index: api_key {secret}\n",
        f"index:\n  api_key: [{secret}]\n",
        f"index:\n  url: http://me:{secret}@host\n",
        f"index: {{api_key: {secret}\nautomation: }}\n",
        f"automation:\n  webhook_url: *{secret}\n",
        f"automation:\n  webhook_url: {secret}\n\tindent: 1\n",
        f"automation: {{webhook_url: 'x {secret}'}}\n",
    ]
    return found + [("params.yaml", text) for text in files]


@pytest.mark.parametrize(("place", "value"), _broken(PLANTED), ids=lambda text: ascii(text)[:50])
def test_no_message_repeats_a_secret(
    place: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params, overrides = tmp_path / "params.yaml", ()
    params.write_text(value if place == "params.yaml" else "{}", encoding="utf-8")
    if place.startswith("--set "):
        overrides = (f"{place.removeprefix('--set ')}={value}",)
    elif place != "params.yaml":
        monkeypatch.setenv(place, value)
    with pytest.raises(ConfigError) as found:
        load_settings(params, overrides)
    assert PLANTED not in str(found.value)
    where = place.split(" ")[0]
    assert where in str(found.value), "it is said where"


def test_a_key_given_twice_is_told_by_its_place(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_text(f"index:\n  api_key: {PLANTED}\n  api_key: other-{PLANTED}\n")
    with pytest.raises(ConfigError, match=r"duplicate key .*line 3, column 3") as found:
        write_dataset_settings(params, {"name": "mine"})
    assert PLANTED not in str(found.value)


@hypothesis_settings(
    deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(secret=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8))
def test_whatever_others_say_of_a_secret_is_taken_out(secret: str) -> None:
    settings = Settings.model_validate({"index": {"api_key": secret}})
    assert settings.index.api_key == secret
    assert secret not in without_secrets(f"Illegal header value b'{secret}'")
    assert secret not in command_line("rabtriever", ["--set", f"index.api_key={secret}"]).split("=")


def test_secrets_of_the_environment_are_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "HF_TOKEN",
        "DAGSTER_POSTGRES_URL",
        "AZURE_STORAGE_CONNECTION_STRING",
        "SMTP_PASSWORD",
    ):
        monkeypatch.setenv(name, f"{PLANTED}-{name}\n")
        assert without_secrets(f"401 for {PLANTED}-{name}!") == "401 for …!"
    monkeypatch.setenv("SHORT_TOKEN", "a")
    said = "https://me:word@store.example/x of rbt_0a1b2c3d_" + "x" * 43
    assert without_secrets(said) == "https://…@store.example/x of rbt_…"
    keep_secret("tiny")
    assert without_secrets("a tiny text") == "a tiny text"
