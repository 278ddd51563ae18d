"""Any model people have loads from one setting; what cannot be used is refused in one line."""

import json
from copy import deepcopy
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, SmolLM3Config, SmolLM3ForCausalLM

from rabtriever_core.config import BackboneConfig, PromptConfig
from rabtriever_core.errors import ModelError
from rabtriever_core.models.backbone import Backbone, pretrained_backbone
from rabtriever_core.models.layers import layers_of
from rabtriever_core.models.pretrained import load_pretrained
from tests.core.checkpoints import (
    CHATML,
    SHAPE,
    byte_level_tokenizer,
    llama,
    save,
    sentencepiece_tokenizer,
    write_gguf,
)
from tests.core.small import RUNTIME

TOKENIZER = byte_level_tokenizer()
MODEL = llama(len(TOKENIZER))


def load(root: Path, model: str, **settings: Any) -> Any:
    return load_pretrained(BackboneConfig(model=model, **settings), "float32", root)[0]


def assert_same(model: Any, expected: Any = MODEL) -> None:
    weights, wanted = model.state_dict(), expected.state_dict()
    assert weights.keys() == wanted.keys()
    for name, weight in weights.items():
        torch.testing.assert_close(weight, wanted[name], rtol=0, atol=0, msg=name)


@pytest.mark.parametrize("form", ["safetensors", "sharded", "bin"])
def test_a_folder_in_the_workspace(tmp_path: Path, form: str, monkeypatch: Any) -> None:
    folder = tmp_path / "models" / "own"
    save(folder, MODEL, TOKENIZER, **({"max_shard_size": "20KB"} if form == "sharded" else {}))
    if form == "sharded":
        assert len(list(folder.glob("model-*.safetensors"))) > 1
    if form == "bin":
        (folder / "model.safetensors").unlink()
        torch.save(MODEL.state_dict(), folder / "pytorch_model.bin")
    monkeypatch.chdir("/")
    assert_same(load(tmp_path, "models/own"))
    assert_same(load(Path("/nowhere"), str(folder)))


def test_a_gguf_file_has_the_weights_that_went_in(tmp_path: Path) -> None:
    TOKENIZER.chat_template = CHATML
    write_gguf(tmp_path / "own.gguf", MODEL, TOKENIZER, quantized="F32")
    model, tokenizer = load_pretrained(BackboneConfig(model="own.gguf"), "float32", tmp_path)
    assert_same(model)
    text = "a calm voice, <|im_end|> è 中"
    for split in (False, True):
        ids = tokenizer(text, split_special_tokens=split)["input_ids"]
        assert ids == TOKENIZER(text, split_special_tokens=split)["input_ids"]
    assert tokenizer.chat_template == CHATML
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<pad>")


def test_a_quantized_gguf_file_becomes_a_plain_model(tmp_path: Path) -> None:
    write_gguf(tmp_path / "own.GGUF", MODEL, TOKENIZER, quantized="Q4_1")
    config = BackboneConfig(model="own.GGUF", layers=3)
    backbone = pretrained_backbone(config, PromptConfig(), RUNTIME, tmp_path)
    weight, wanted = (m.model.layers[2].mlp.up_proj.weight for m in (backbone.model, MODEL))
    assert 0 < (weight - wanted).abs().max() < 0.2 * wanted.abs().max()
    backbone.save(tmp_path / "artifact")
    loaded = Backbone.load(tmp_path / "artifact", RUNTIME)
    assert_same(loaded.model, backbone.model)
    assert len(loaded.model.model.layers) == 3


@pytest.mark.parametrize("layers", [1, 3, 4, None])
def test_the_first_layers_are_kept(tmp_path: Path, layers: int | None) -> None:
    save(tmp_path / "own", MODEL, TOKENIZER)
    model = load(tmp_path, "own", layers=layers)
    kept = layers or 4
    assert model.config.num_hidden_layers == len(model.model.layers) == kept
    ids = torch.tensor([[5, 60, 7]])
    with torch.inference_mode():
        states = MODEL.model(ids, output_hidden_states=True).hidden_states[kept]
        expected = states if kept == 4 else MODEL.model.norm(states)
        torch.testing.assert_close(model.model(ids).last_hidden_state, expected)


@pytest.mark.parametrize(
    "kept", [each for n in (1, 2, 3, 4) for each in combinations(range(4), n)], ids=str
)
def test_any_layers_are_kept(folder_of_four: Path, kept: tuple[int, ...]) -> None:
    model = load(folder_of_four, "own", layers=kept)
    assert model.config.num_hidden_layers == len(model.model.layers) == len(kept)
    ids = torch.tensor([[5, 60, 7, 9]])
    whole = deepcopy(MODEL)
    whole.model.layers = torch.nn.ModuleList(whole.model.layers[layer] for layer in kept)
    with torch.inference_mode():
        found = model.model(ids).last_hidden_state
        expected = whole.model(ids, use_cache=False).last_hidden_state
        torch.testing.assert_close(found, expected)
        # Every layer finds its own keys and values again.
        read = model.model(ids[:, :2], use_cache=True)
        rest = model.model(ids[:, 2:], cache=read.cache).last_hidden_state
    torch.testing.assert_close(rest, found[:, 2:], rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def folder_of_four(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("four")
    save(root / "own", MODEL, TOKENIZER)
    return root


def test_chosen_layers_are_saved_and_read_again(folder_of_four: Path, tmp_path: Path) -> None:
    config = BackboneConfig(model="own", layers=(0, 3))
    before = torch.get_rng_state()
    backbone = pretrained_backbone(config, PromptConfig(), RUNTIME, folder_of_four)
    assert torch.equal(torch.get_rng_state(), before)
    backbone.save(tmp_path)
    loaded = Backbone.load(tmp_path, RUNTIME)
    assert_same(loaded.model, backbone.model)
    weights = [m.model.layers[n].mlp.up_proj.weight for m, n in ((loaded.model, 1), (MODEL, 3))]
    torch.testing.assert_close(*weights)


def test_more_layers_than_there_are(folder_of_four: Path) -> None:
    with pytest.raises(ModelError, match=r"backbone\.layers = 5, but llama has 4 layers here:"):
        load(folder_of_four, "own", layers=5)
    message = r"backbone\.layers = \[0, 4\], but llama has 4 layers here, counted from 0"
    with pytest.raises(ModelError, match=message):
        load(folder_of_four, "own", layers=(0, 4))


def test_experts_are_no_layers(tmp_path: Path) -> None:
    """A list in every layer may be as long as the list of layers."""
    model = llama(len(TOKENIZER))
    for layer in model.model.layers:
        layer.mlp.experts = torch.nn.ModuleList(torch.nn.Identity() for _ in range(4))
    assert layers_of(model)[0] == "model.layers"
    model.model.more = torch.nn.ModuleList(torch.nn.Identity() for _ in range(4))
    with pytest.raises(ModelError, match="has 2 lists of 4 layers"):
        layers_of(model)


def test_lists_with_an_entry_per_layer_are_cut_with_them(tmp_path: Path) -> None:
    tokenizer = sentencepiece_tokenizer()
    shape = SHAPE | {"num_hidden_layers": 6, "head_dim": 16, "vocab_size": len(tokenizer)}
    gemma = Gemma3ForCausalLM(Gemma3TextConfig(**shape, sliding_window=64))
    types = gemma.config.layer_types
    assert types[5] != types[0]
    save(tmp_path / "gemma", gemma, tokenizer)
    assert load(tmp_path, "gemma", layers=3).config.layer_types == types[:3]
    chosen = load(tmp_path, "gemma", layers=(0, 5))
    assert chosen.config.layer_types == [types[0], types[5]]
    windows = [layer.self_attn.sliding_window for layer in gemma.model.layers]
    found = [layer.self_attn.sliding_window for layer in chosen.model.layers]
    assert found == [windows[0], windows[5]]
    shape = shape | {"pad_token_id": tokenizer.pad_token_id}
    smol = SmolLM3ForCausalLM(SmolLM3Config(**shape))
    save(tmp_path / "smol", smol, tokenizer)
    cut = load(tmp_path, "smol", layers=3)
    assert cut.config.no_rope_layers == smol.config.no_rope_layers[:3]
    save(tmp_path / "cut", cut, tokenizer)
    assert load(tmp_path, str(tmp_path / "cut")).config.num_hidden_layers == 3


def pointer(folder: Path) -> None:
    (folder / "model.safetensors").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1192135096\n"
    )


def truncated(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])


def quantized(folder: Path) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text()) | {
        "quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128}
    }
    path.write_text(json.dumps(config))


def headless(folder: Path) -> None:
    model = llama(len(TOKENIZER), tie_word_embeddings=False)
    state = {n: w for n, w in model.state_dict().items() if n != "lm_head.weight"}
    model.save_pretrained(folder, state_dict=state)


def adapter(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "own/base"}')


def small_table(folder: Path) -> None:
    llama(len(TOKENIZER) - 60).save_pretrained(folder)


def unknown_architecture(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "no_such_model"}')


def no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (pointer, r"model\.safetensors is a git-lfs pointer.*git lfs pull"),
        (truncated, "cannot be loaded: SafetensorError"),
        (quantized, r"weights are quantized \(gptq\).*take the original weights"),
        (headless, r"weights lack lm_head\.weight.*no whole causal language model"),
        (adapter, "holds an adapter and no model.*merge_and_unload"),
        (small_table, r"tokens up to number 380, but its table of token vectors 321 rows"),
        (unknown_architecture, "cannot be loaded: ValueError.*no_such_model"),
        (no_config, r"there is no config\.json"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(tmp_path: Path, damage: Any, said: str) -> None:
    save(tmp_path / "own", MODEL, TOKENIZER)
    damage(tmp_path / "own")
    with pytest.raises(ModelError, match=said) as raised:
        pretrained_backbone(BackboneConfig(model="own"), PromptConfig(), RUNTIME, tmp_path)
    assert "\n" not in str(raised.value)


def test_a_damaged_gguf_file(tmp_path: Path) -> None:
    (tmp_path / "own.gguf").write_bytes(b"GGUF and no more")
    with pytest.raises(ModelError, match=r"own\.gguf.* cannot be loaded"):
        load(tmp_path, "own.gguf")


def test_without_a_network_one_message_comes_at_once(
    tmp_path: Path, monkeypatch: Any, caplog: Any
) -> None:
    def unreachable(*_: Any, **__: Any) -> None:
        raise ConnectionError("no route to the hub")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", unreachable)
    with pytest.raises(ModelError, match=r"'owner/no-such' cannot be loaded.*does not answer"):
        load(tmp_path, "owner/no-such")
    assert not caplog.records
