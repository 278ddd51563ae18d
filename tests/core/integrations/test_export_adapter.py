"""A teacher's adapters, taken apart from the weights that they were merged into."""

import json
from pathlib import Path

import pytest
import torch
from peft import AutoPeftModelForCausalLM

from rabtriever_core.config import LoraConfig
from rabtriever_core.errors import ModelError
from rabtriever_core.integrations.export_adapter import named_base, write_adapter
from rabtriever_core.integrations.export_parity import check_adapter
from rabtriever_core.integrations.export_release import export_release
from rabtriever_core.models.lora import merge_adapters, with_adapters
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.releases.record import read_releases
from rabtriever_core.workspace import Workspace
from tests.core.small import small_backbone, small_dataset

DATASET = small_dataset()
LORA = LoraConfig(rank=2, alpha=4)
HUB = {"model": "Qwen/Qwen3-0.6B", "layers": None, "lora": LORA.model_dump()}


def test_adapters_are_found_again(tmp_path: Path) -> None:
    backbone = small_backbone(DATASET)
    backbone.save(tmp_path / "base")
    for seed in (1, 2):  # as SFT and DPO, one after the other
        adapted = with_adapters(backbone, LORA, seed)
        with torch.no_grad():
            for name, weight in adapted.named_parameters():
                if "lora_B" in name:
                    weight.normal_(std=0.3)
        merge_adapters(backbone, adapted)
    backbone.model.eval()
    teacher = GenerativeReranker(backbone)
    (tmp_path / "teacher").mkdir()
    teacher.save(tmp_path / "teacher")
    folders = tmp_path / "teacher", tmp_path / "base"
    write_adapter(*folders, "team/base", LORA, 2, tmp_path / "two")
    parity = check_adapter(tmp_path / "two", tmp_path / "base", teacher, DATASET)
    assert parity.max_error < 1e-5
    config = tmp_path / "two" / "adapter_config.json"
    said = json.loads(config.read_text())
    assert said["base_model_name_or_path"] == "team/base"
    # The base is no model of the hub here; opened as the card says.
    config.write_text(json.dumps(said | {"base_model_name_or_path": str(tmp_path / "base")}))
    opened = AutoPeftModelForCausalLM.from_pretrained(str(tmp_path / "two")).merge_and_unload()
    weights = backbone.model.state_dict()
    for name, weight in opened.state_dict().items():
        torch.testing.assert_close(weight, weights[name], atol=1e-5, rtol=1e-4)
    write_adapter(*folders, "team/base", LORA, 1, tmp_path / "one")
    with pytest.raises(ModelError, match="its margins differ by"):
        check_adapter(tmp_path / "one", tmp_path / "base", teacher, DATASET)
    backbone.scale_answers(2.0)
    teacher.save(tmp_path / "teacher")
    with pytest.raises(ModelError, match=r"more than the layers that have adapters: lm_head"):
        write_adapter(*folders, "team/base", LORA, 2, tmp_path / "three")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"layers": 4}, "the first 4 layers of Qwen/Qwen3-0.6B"),
        ({"layers": [0, 27]}, r"on layers \[0, 27\] of Qwen/Qwen3-0.6B"),
        ({"model": "smollm2"}, "are not those on the hub"),
        ({"model": "../mine"}, "mine .* is a local model"),
    ],
)
def test_a_base_that_others_cannot_name_is_refused(changed: dict[str, object], why: str) -> None:
    settings = {"backbone": HUB, "teacher": {"start": "backbone"}}
    assert named_base(settings, False) == "Qwen/Qwen3-0.6B"
    local = str(changed.get("model", "")).startswith("..")
    with pytest.raises(ModelError, match=why):
        named_base(settings | {"backbone": HUB | changed}, local)
    with pytest.raises(ModelError, match="the bi-encoder"):
        named_base(settings | {"teacher": {"start": "bi_encoder"}}, False)


def test_of_a_release(released: Workspace, tmp_path: Path) -> None:
    """Its teacher is its backbone, and so its adapters are zero."""
    pytest.importorskip("sentence_transformers")
    release = next(iter(read_releases(released).values()))
    with pytest.raises(ModelError, match="trained without adapters"):
        export_release(released, tmp_path / "none", only="teacher-adapter")
    settings = release.settings | {"backbone": release.settings["backbone"] | HUB}
    of_hub = release.model_copy(update={"settings": settings})
    info = export_release(released, tmp_path / "some", release=of_hub)
    assert info.written == ["student", "teacher", "teacher-model", "teacher-adapter"]
    found = {path.name for path in (tmp_path / "some" / "teacher-adapter").iterdir()}
    assert {"adapter_model.safetensors", "tokenizer.json", "prompt.json", "README.md"} <= found
    assert not found & {"model.safetensors", "config.json", "meta.json"}
