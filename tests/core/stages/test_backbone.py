"""A pretrained backbone is up to date as long as its files are what they were."""

from pathlib import Path
from typing import Any

import pytest

from rabtriever_core.config import Settings
from rabtriever_core.data.dataset import write_dataset
from rabtriever_core.dvc.pipeline import sync_pipeline
from rabtriever_core.errors import ModelError
from rabtriever_core.stages.run import run_stage
from rabtriever_core.workspace import Workspace
from tests.core.checkpoints import byte_level_tokenizer, llama, save, write_gguf
from tests.core.inputs import finished
from tests.core.small import TINY, small_dataset

DATASET = small_dataset()
TOKENIZER = byte_level_tokenizer()
RUNTIME = {"threads": 1, "device": "cpu"}


def workspace_of(root: Path, model: str = "", **sections: Any) -> Workspace:
    settings = {"backbone": {"model": model}, "runtime": RUNTIME} | sections
    workspace = Workspace(root, Settings.model_validate(settings))
    finished(
        workspace,
        DATASET.fingerprint,
        "validated_dataset",
        {},
        lambda folder: write_dataset(DATASET, folder),
    )
    workspace.dataset_folder.mkdir(parents=True)
    return workspace


@pytest.mark.parametrize("form", ["folder", "gguf"])
def test_new_weights_under_the_same_name_are_another_backbone(tmp_path: Path, form: str) -> None:
    model = llama(len(TOKENIZER))
    name = "own" if form == "folder" else "own.gguf"

    def write() -> None:
        if form == "folder":
            save(tmp_path / name, model, TOKENIZER)
        else:
            write_gguf(tmp_path / name, model, TOKENIZER, quantized="F32")

    write()
    workspace = workspace_of(tmp_path, name)
    first = run_stage(workspace, "backbone").hash
    assert run_stage(workspace, "backbone").reused
    model.model.norm.weight.data.mul_(2)
    write()
    second = run_stage(workspace, "backbone")
    assert second.reasons == ("backbone.model changed",)
    assert second.hash != first


@pytest.mark.parametrize("precision", ["float32", "mixed"])
def test_what_a_model_was_trained_in_stands_in_its_metrics(tmp_path: Path, precision: str) -> None:
    warmup = {"min_steps": 2, "max_steps": 2, "queries_per_step": 4}
    backbone = {"model": "tiny", "tiny": TINY.model_dump(), "warmup": warmup}
    sections = {
        "backbone": backbone,
        "prompt": {"max_document_tokens": 64, "max_query_tokens": 64},
        "runtime": RUNTIME | {"precision": precision},
    }
    workspace = workspace_of(tmp_path, **sections)
    assert run_stage(workspace, "backbone").meta.metrics["precision"] == precision


def test_a_model_that_is_gone_or_not_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RABTRIEVER_MODELS", str(tmp_path / "models"))
    with pytest.raises(ModelError, match=r"there is no .*gone"):
        run_stage(workspace_of(tmp_path / "a", "./gone"), "backbone")
    with pytest.raises(ModelError, match="rabtriever fetch-model smollm2"):
        run_stage(workspace_of(tmp_path / "b", "smollm2"), "backbone")


def test_dvc_watches_a_local_model(tmp_path: Path) -> None:
    def dependencies(model: str) -> str:
        (tmp_path / "params.yaml").write_text(f"backbone: {{model: {model}}}\n")
        sync_pipeline(tmp_path)
        text = (tmp_path / "dvc.yaml").read_text()
        return text[text.index("backbone:") : text.index("bi_encoder:")]

    (tmp_path / "own").mkdir()
    (tmp_path / "work").mkdir()
    assert "- own\n" in dependencies("own")
    assert f"- {tmp_path / 'own'}\n".replace(str(tmp_path) + "/", "") in dependencies(
        str(tmp_path / "own")
    )
    for model in ("tiny", "smollm2", "owner/name", "null"):
        assert "- own" not in dependencies(model)
