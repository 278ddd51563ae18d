"""A layer that changes nothing has no influence; the list that is printed can be used."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from rabtriever_core.cli import app
from rabtriever_core.config import BackboneConfig, PromptConfig
from rabtriever_core.data.dataset import write_dataset
from rabtriever_core.lab.measurements.layer_importance import block_influence
from rabtriever_core.models.backbone import pretrained_backbone
from tests.core.checkpoints import byte_level_tokenizer, llama, save
from tests.core.small import RUNTIME, small_dataset
from tests.core.small_encoder import small_encoder, write_encoder

DATASET = small_dataset()


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set, a language model whose second layer does nothing, and an encoder."""
    tokenizer = byte_level_tokenizer()
    model = llama(len(tokenizer))
    for weight in (model.model.layers[1].self_attn.o_proj, model.model.layers[1].mlp.down_proj):
        torch.nn.init.zeros_(weight.weight)
    save(tmp_path / "models" / "own", model, tokenizer)
    write_encoder(tmp_path / "models" / "encoder", DATASET)
    write_dataset(DATASET, tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_influence_is_that_of_hidden_states_whatever_stands_beside(work: Path) -> None:
    config = BackboneConfig(model="models/own")
    backbone = pretrained_backbone(config, PromptConfig(), RUNTIME, work)
    rows = [[5, 60, 7], [9, 8, 7, 6, 5, 4, 30], [3]]
    found = block_influence(backbone, rows)
    assert not any(layer._forward_hooks for layer in backbone.body.layers)
    assert found[1] == pytest.approx(0, abs=1e-6)
    assert min(found[0], *found[2:]) > 1e-3
    turned = []
    with torch.inference_mode():
        for row in rows:
            states = backbone.body(
                input_ids=torch.tensor([row]), output_hidden_states=True
            ).hidden_states
            # The last of them is behind the final norm, and left out.
            pairs = pairwise(states[:4])
            turned.append([1 - torch.cosine_similarity(*pair, dim=-1)[0] for pair in pairs])
    expected = [torch.cat(layer).mean().item() for layer in zip(*turned, strict=True)]
    np.testing.assert_allclose(found[:3], expected, atol=1e-5)


def test_an_encoder_has_influences_too(tmp_path: Path) -> None:
    encoder = small_encoder(tmp_path, DATASET)
    found = block_influence(encoder, encoder.prompt.queries(["tired and alone", "rage"]))
    assert len(found) == 2 and min(found) > 0


def test_the_command_prints_what_the_setting_takes(work: Path) -> None:
    run = ["lab", "layer-importance", "models/own", "--data", "data", "-n", "3", "--queries", "5"]
    result = CliRunner().invoke(app, run)
    assert result.exit_code == 0, result.output
    assert "backbone.layers: [0, 2, 3]" in result.output
    measured = json.loads((work / "measurements/layer_importance.json").read_text())
    assert measured["layers"] == [0, 2, 3]
    assert [row["kept"] for row in measured["rows"]] == [True, False, True, True]
    config = BackboneConfig(model="models/own", layers=measured["layers"])
    assert (
        pretrained_backbone(config, PromptConfig(), RUNTIME, work).model.config.num_hidden_layers
        == 3
    )
    few = ["lab", "layer-importance", "models/encoder", "--encoder", "--data", "data", "--json"]
    result = CliRunner().invoke(app, [*few, "-n", "1"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["setting"] == "bi_encoder.layers"
    result = CliRunner().invoke(app, [*few, "-n", "3"])
    assert result.exit_code != 0
    assert "models/encoder has 2 layers" in result.output
