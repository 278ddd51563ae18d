"""Which layers are kept: how many, or a list in the model's order."""

from pathlib import Path

import pytest

from rabtriever_core.config import load_settings
from rabtriever_core.config.params_file import params_yaml
from rabtriever_core.errors import ConfigError


@pytest.mark.parametrize(("text", "value"), [("4", 4), ("[0, 3]", (0, 3)), ("null", None)])
def test_a_number_or_a_list(tmp_path: Path, text: str, value: object) -> None:
    settings = load_settings(None, (f"backbone.layers={text}",))
    assert settings.backbone.layers == value
    path = tmp_path / "params.yaml"
    path.write_text(params_yaml(settings), encoding="utf-8")
    assert load_settings(path) == settings


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0", "greater than or equal to 1"),
        ("[]", "name at least one layer"),
        ("[1, 1]", "none twice"),
        ("[3, 1]", "in the order of the model"),
        ("[-1, 2]", "greater than or equal to 0"),
        ("first", "valid integer"),
    ],
)
def test_what_names_no_layers(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=r"backbone\.layers") as raised:
        load_settings(None, (f"backbone.layers={text}",))
    assert said in str(raised.value)


def test_layers_of_an_encoder_need_one() -> None:
    with pytest.raises(ConfigError, match=r"backbone\.layers cuts the backbone"):
        load_settings(None, ("bi_encoder.layers=3",))
    settings = load_settings(None, ("bi_encoder.layers=3", "bi_encoder.encoder=minilm"))
    assert settings.bi_encoder.layers == 3
