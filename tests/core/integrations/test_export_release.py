"""A release taken away: what the folder holds, what is refused, what stays when it fails."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from rabtriever_core.cli import app
from rabtriever_core.errors import ConfigError, ModelError
from rabtriever_core.integrations import export_release as module
from rabtriever_core.integrations.export_card import ON_THE_HUB, card
from rabtriever_core.integrations.export_release import EXPORT_FILE, ExportInfo, export_release
from rabtriever_core.models.known_models import KNOWN_MODELS
from rabtriever_core.releases.record import Release, read_releases
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import folder_md5s
from tests.core.integrations.hub import standin_hub
from tests.documentation.blocks import blocks

pytest.importorskip("sentence_transformers")


@pytest.fixture(scope="module")
def export(released: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All parts of the release, and nobody changes them."""
    folder = tmp_path_factory.mktemp("exports") / "models"
    export_release(released, folder)
    return folder


@pytest.fixture
def release(released: Workspace) -> Release:
    return next(iter(read_releases(released).values()))


def test_it_says_what_it_holds(export: Path, release: Release) -> None:
    info = ExportInfo.model_validate_json((export / EXPORT_FILE).read_text())
    assert info.release == release.id
    assert info.written == ["student", "teacher", "teacher-model"]
    found = folder_md5s(export)
    assert found.pop(EXPORT_FILE)
    assert found == info.files
    for part in ("student", "teacher"):
        parity = info.parts[part].parity
        assert parity is not None
        assert parity.max_error < 1e-5
        assert parity.largest_margin > 0.01
    assert not (export / "teacher-model" / "meta.json").exists()


def test_what_the_cards_print_runs_without_this_package(export: Path) -> None:
    """All three in one process, which takes seconds to start."""
    code = ["import sys", "sys.modules['rabtriever_core'] = None"]
    for part in ("student", "teacher", "teacher-model"):
        (block,) = [b for b in blocks(export / part / "README.md") if b.language == "python"]
        assert len(block.text.splitlines()) == 3
        code += [block.text, "print(type(model).__name__)"]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(code)],
        cwd=export,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["SentenceTransformer", "CrossEncoder", "LlamaForCausalLM"]


def test_the_cards_say_where_it_comes_from(export: Path, release: Release) -> None:
    for part, task in (
        ("student", "sentence-similarity"),
        ("teacher", "text-ranking"),
        ("teacher-model", "text-generation"),
    ):
        _, front, text = (export / part / "README.md").read_text().split("---\n", 2)
        about = yaml.safe_load(front)
        assert about["pipeline_tag"] == task
        assert "base_model" not in about
        for said in (release.id, release.fingerprint, "from the data set alone", "MRR@10"):
            assert said in text


@pytest.mark.parametrize(
    ("encoder", "model", "hub_id", "licence"),
    [
        ("backbone", "smollm2", "HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0"),
        ("minilm", "smollm2", "sentence-transformers/all-MiniLM-L6-v2", "apache-2.0"),
        ("backbone", "Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B", None),
        ("../models/secret-project", "smollm2", None, None),
    ],
)
def test_base_models_and_their_licences(
    release: Release, encoder: str, model: str, hub_id: str | None, licence: str | None
) -> None:
    settings = {**release.settings}
    settings["backbone"] = {**settings["backbone"], "model": model}
    settings["bi_encoder"] = {**settings["bi_encoder"], "encoder": encoder}
    settings["teacher"] = {**settings["teacher"], "encoder": "bi_encoder"}
    made = release.model_copy(update={"settings": settings})
    text = card(made, "student", name="x")
    about = yaml.safe_load(text.split("---\n")[1])
    assert about.get("base_model") == hub_id
    assert about.get("license") == licence
    assert "../models" not in text
    assert set(ON_THE_HUB) == set(KNOWN_MODELS)


def test_a_release_in_half_precision_is_exported_in_whole(
    released: Workspace, release: Release, tmp_path: Path
) -> None:
    runtime = released.settings.runtime.model_dump() | {"precision": "bfloat16"}
    half = release.model_copy(update={"settings": release.settings | {"runtime": runtime}})
    parity = export_release(released, tmp_path / "half", release=half, only="student").parts
    assert parity["student"].parity is not None
    assert parity["student"].parity.max_error < 1e-5


def test_only_an_export_is_replaced(
    released: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "thesis.tex").write_text("precious")
    with pytest.raises(ConfigError, match="holds something that is no export"):
        export_release(released, folder, only="teacher-model")
    (folder / "thesis.tex").unlink()
    export_release(released, folder, only="teacher-model")
    before = folder_md5s(folder)
    assert export_release(released, folder, only="teacher-model").written == ["teacher-model"]
    assert folder_md5s(folder) == before

    def refuse(*_: object) -> None:
        raise ModelError("its margins differ by 1")

    monkeypatch.setattr(module, "check_cross_encoder", refuse)
    with pytest.raises(ModelError, match="cannot be exported: teacher: its margins differ by 1"):
        export_release(released, folder, only="teacher")
    assert folder_md5s(folder) == before
    info = export_release(released, folder)
    assert info.written == ["student", "teacher-model"]
    assert info.parts["teacher"].refused == "its margins differ by 1"
    assert {path.name for path in folder.iterdir()} == {EXPORT_FILE, *info.written}
    assert [path.name for path in tmp_path.iterdir()] == ["models"]


def test_command_line_and_hub(
    released: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: Release
) -> None:
    folder = tmp_path / "models"
    arguments = ["releases", "export", "1", "--to", str(folder), "-w", str(released.root)]
    arguments += ["--only", "teacher-model", "--push"]
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with standin_hub() as hub:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        done = CliRunner().invoke(app, [*arguments, "my-team/support"])
        assert done.exit_code == 0, done.output
        assert f"{folder / 'teacher-model'}: of release {release.id}" in done.output
        assert f"pushed: {hub.url}/my-team/support-teacher-model" in done.output
        assert hub.private == {"my-team/support-teacher-model": True}
        assert hub.messages == [f"Release {release.id}"]
        assert hub.tokens == {"Bearer hf_secret"}
        (pushed,) = hub.files.values()
        assert pushed == {
            path.relative_to(folder / "teacher-model").as_posix(): path.read_bytes()
            for path in (folder / "teacher-model").rglob("*")
        }
        assert b'from_pretrained("my-team/support-teacher-model")' in pushed["README.md"]
        hub.refuses = True
        done = CliRunner().invoke(app, [*arguments, "my-team/support"])
        assert done.exit_code == 2
        assert "my-team/support-teacher-model was not pushed" in done.output
        assert "hf_secret" not in done.output
    done = CliRunner().invoke(app, [*arguments, "too/many/parts"])
    assert done.exit_code == 2
    assert "names no repository" in done.output
    done = CliRunner().invoke(app, [*arguments[:-3], "--only", "teacher-model", "--json"])
    assert json.loads(done.stdout)["pushed"] == []
