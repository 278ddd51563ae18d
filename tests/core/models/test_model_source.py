"""What `backbone.model` can name."""

from pathlib import Path

import pytest

from rabtriever_core.errors import ModelError
from rabtriever_core.models.model_source import model_source
from rabtriever_core.workspace.content_hash import ContentHashes


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("tiny", "tiny"),
        ("smollm2", "known"),
        ("own", "folder"),
        ("./own", "folder"),
        ("own.gguf", "gguf"),
        ("gpt2", "hub"),
        ("Qwen/Qwen3-0.6B", "hub"),
    ],
)
def test_what_it_names(tmp_path: Path, model: str, kind: str) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own.gguf").write_bytes(b"GGUF")
    assert model_source(model, tmp_path).kind == kind


@pytest.mark.parametrize(
    "model", ["/no/where", "./own", "../own", "~/own", "a/b/c", "x.gguf", "a/"]
)
def test_a_path_at_which_nothing_is(tmp_path: Path, model: str) -> None:
    with pytest.raises(ModelError, match=r"relative to the workspace.*smollm2 or tiny"):
        model_source(model, tmp_path)


def test_an_encoder_and_another_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"'minilm' is an encoder.*smollm2"):
        model_source("minilm", tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match=r"no \.gguf: give its folder"):
        model_source("model.safetensors", tmp_path)


def test_a_model_is_what_it_holds_wherever_it_lies(tmp_path: Path) -> None:
    hashes = ContentHashes(tmp_path / ".work")

    def content(folder: str) -> str | None:
        return model_source(folder, tmp_path).content_hash(hashes)

    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        (tmp_path / name / "model.safetensors").write_bytes(b"weights")
    first = content("one")
    assert first == content("two")
    (tmp_path / "two" / "README.md").write_text("a card")
    (tmp_path / "two" / ".gitattributes").write_text("*.bin")
    assert content("two") == first
    for name, text in (("tokenizer.json", "{}"), ("chat_template.jinja", "{{ x }}")):
        before = content("two")
        (tmp_path / "two" / name).write_text(text)
        assert content("two") != before
    (tmp_path / "two" / "model.safetensors").write_bytes(b"Weights")
    assert content("two") != content("one")


def test_names_have_no_content_but_known_ones(tmp_path: Path) -> None:
    hashes = ContentHashes(tmp_path / ".work")
    assert model_source("tiny", tmp_path).content_hash(hashes) is None
    assert model_source("owner/name", tmp_path).content_hash(hashes) is None
    # The wheel's sha256: it need not be fetched, and is the same on every machine.
    assert str(model_source("smollm2", tmp_path).content_hash(hashes)).startswith("bcc81830d10c")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="there is no model in"):
        model_source("empty", tmp_path).content_hash(hashes)
