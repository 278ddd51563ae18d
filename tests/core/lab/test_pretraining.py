"""A backbone pre-trained on plain text: what it reads, and that a pipeline can start from it."""

import json
import lzma
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from rabtriever_core.cli import app
from rabtriever_core.config import BackboneConfig, PromptConfig, load_settings
from rabtriever_core.errors import DatasetError
from rabtriever_core.lab.pretraining import RECORD, passages, pretrain
from rabtriever_core.lab.results.measurements import measurement_markdown
from rabtriever_core.models.backbone import Backbone, pretrained_backbone
from tests.core.small import RUNTIME

WORDS = [f"word{i % 97}" for i in range(4000)]
SHAPE = """
runtime: {threads: 1, device: cpu, seed: 5}
backbone:
  tiny: {hidden_size: 32, layers: 2, heads: 2, key_value_heads: 1, head_size: 8,
    intermediate_size: 48, vocabulary_size: 500}
  warmup: {min_steps: 20, max_steps: 20, queries_per_step: 8, learning_rate: 3.0e-3,
    checkpoint_steps: 10, optimizer: muon}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder that the command left."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "novel.txt").write_text(
        "\n".join(" ".join(WORDS[i : i + 11]) for i in range(0, 4000, 11))
    )
    (folder / "params.yaml").write_text(SHAPE)
    arguments = ["lab", "pretrain", f"{folder}/novel.txt", "--params", f"{folder}/params.yaml"]
    result = CliRunner().invoke(app, [*arguments, "--out", f"{folder}/backbone"])
    assert result.exit_code == 0, result.output
    assert "20 steps" in result.output
    assert sorted(path.name for path in folder.iterdir()) == [
        "backbone",
        "novel.txt",
        "params.yaml",
    ]
    return folder / "backbone"


def test_passages_follow_each_other_and_leave_no_word_out(tmp_path: Path) -> None:
    plain, packed = tmp_path / "a.txt", tmp_path / "b.txt.xz"
    plain.write_text("\n".join(WORDS))
    with lzma.open(packed, "wt") as file:
        file.write(" ".join(WORDS))
    documents, queries = passages([plain], seed=1)
    read = " ".join(f"{d} {q}" for d, q in zip(documents, queries, strict=True)).split()
    assert read == WORDS[: len(read)]
    assert len(WORDS) - len(read) <= 128
    assert passages([packed], seed=1) == (documents, queries)
    assert passages([plain], seed=2) != (documents, queries)
    assert len({len(d.split()) for d in documents}) > 10


def test_it_says_what_it_read_and_learned(made: Path) -> None:
    record = json.loads((made / RECORD).read_text())
    assert list(record["texts"]) == ["novel.txt"]
    assert record["steps"] == 20
    assert record["pairs"] > 20
    assert record["pairs_met"] == min(record["pairs"], 20 * 8)
    assert measurement_markdown(made / RECORD, made).startswith("### Pre-training")
    loss = np.genfromtxt(made / "history.csv", delimiter=",", names=True)["loss_modelling"]
    assert loss[-1] < loss[0]


def test_a_pipeline_starts_from_the_folder_with_the_compact_prompt(made: Path) -> None:
    config = BackboneConfig(model=str(made), lora=None)
    taken = pretrained_backbone(config, PromptConfig(), RUNTIME)
    kept = Backbone.load(made, RUNTIME)
    assert taken.prompt.spec == kept.prompt.spec
    rows = [[*kept.prompt.spec.document_prefix, 40, 41], [*kept.prompt.spec.query_prefix, 42]]
    with torch.inference_mode():
        torch.testing.assert_close(taken.last_states(rows), kept.last_states(rows))
    assert kept.model.config.head_dim == 8


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"three short words", "too little text"), (b"\xff\xfe\x00bad", "UTF-8"), (None, "no text")],
)
def test_what_is_no_text_is_named(tmp_path: Path, content: bytes | None, problem: str) -> None:
    path = tmp_path / "given.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatasetError, match=problem) as error:
        passages([path], seed=1)
    assert "given.txt" in str(error.value)


def test_resumed_training_states_no_speed(made: Path, tmp_path: Path) -> None:
    settings = load_settings(made.parent / "params.yaml")
    checkpoints, texts = tmp_path / "checkpoints", [made.parent / "novel.txt"]
    first = pretrain(texts, settings, tmp_path / "first", checkpoints)
    again = pretrain(texts, settings, tmp_path / "again", checkpoints)
    assert first.seconds is not None
    assert again.seconds is None
    row = json.loads((tmp_path / "again" / RECORD).read_text())["rows"][0]
    assert "tokens per second" not in row
    assert again.final_loss == pytest.approx(first.final_loss, rel=1e-5)
