"""Encoders are opened as backbones are: what is wrong with their files is said in one line."""

from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel

from rabtriever_core.config import PromptConfig
from rabtriever_core.errors import ModelError
from rabtriever_core.models.encoder import Encoder
from rabtriever_core.models.model_source import encoder_source
from rabtriever_core.models.pretrained_encoder import pretrained_encoder
from tests.core.checkpoints import SHAPE, byte_level_tokenizer, save
from tests.core.small import RUNTIME


def load(root: Path, model: str) -> Encoder:
    return pretrained_encoder(encoder_source(model, root), PromptConfig(), RUNTIME)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    tokenizer = byte_level_tokenizer()
    shape = {name: SHAPE[name] for name in SHAPE if name != "num_key_value_heads"}
    model = BertModel(BertConfig(vocab_size=len(tokenizer), **shape), add_pooling_layer=False)
    return save(tmp_path / "own", model, tokenizer)


def pointer(folder: Path) -> None:
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")


def truncated(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])


def gaps(folder: Path) -> None:
    path = folder / "model.safetensors"
    weights = {n: w for n, w in load_file(path).items() if "layer.1." not in n}
    save_file(weights, path, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (pointer, "is a git-lfs pointer"),
        (truncated, r"bi_encoder\.encoder = 'own' cannot be loaded: SafetensorError.*give minilm"),
        (gaps, r"its weights lack encoder\.layer\.1\..*no whole encoder"),
    ],
)
def test_damaged_encoders(own: Path, damage: Any, said: str) -> None:
    assert load(own.parent, "own").dimension == 32
    damage(own)
    with pytest.raises(ModelError, match=said) as raised:
        load(own.parent, "own")
    assert "\n" not in str(raised.value)


def test_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any, **__: Any) -> None:
        raise ConnectionError("no route to the hub")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", unreachable)
    with pytest.raises(ModelError, match=r"'owner/none' cannot be loaded.*not answer.*give minilm"):
        load(tmp_path, "owner/none")
