"""What the shell offers after a tab, and that nobody waits for it."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rabtriever_core.cli import app
from rabtriever_core.workspace import Workspace
from tests.core.cli.conftest import Rabtriever

ROOT = Path(__file__).parents[3]


def offered(words: str) -> list[str]:
    """Completions of the last word, which may be empty, in bash."""
    said = {
        "_RABTRIEVER_COMPLETE": "complete_bash",
        "COMP_WORDS": f"rabtriever {words}",
        "COMP_CWORD": str(len(words.split(" "))),
    }
    return CliRunner().invoke(app, [], prog_name="rabtriever", env=said).output.split()


def test_names_that_are_known_without_a_workspace() -> None:
    assert offered("run ")[:3] == ["all", "validated_dataset", "backbone"]
    assert offered("run st") == ["student"]
    assert offered("retrain --kind ") == ["reindex", "predictor", "full"]
    assert {"paper", "ours"} <= set(offered("lab ablate "))
    assert offered("lab baselines --system m") == ["margin_mse_bi_encoder", "minilm"]
    assert offered("query --rerank a") == ["always", "auto"]
    assert offered("rele") == ["releases"]


def test_names_of_a_workspace(rabtriever: Rabtriever, released: Workspace) -> None:
    (release,) = (path.stem for path in (released.root / "releases").glob("*.json"))
    for command in ("show", "promote", "rollback", "restore", "push", "diff"):
        assert offered(f"releases {command} 00") == [release]
    assert offered(f"releases diff {release} ") == [release]
    assert offered(f"releases show -w {released.root} ") == [release]
    assert offered(f"eval {released.dataset_folder} --split t") == ["test", "train"]
    assert offered("lab measure-vectors --split d") == ["dev"]
    rabtriever("keys", "create", "app")
    rabtriever("keys", "create", "page")
    rabtriever("keys", "revoke", "app")
    assert offered("keys revoke ") == ["page"]
    (released.root / "api_keys.json").write_text("[")
    assert offered("keys revoke ") == []


@pytest.mark.parametrize("words", ["run ", "releases show ", "eval x --split ", "keys revoke "])
def test_completing_imports_nothing_heavy(words: str, tmp_path: Path) -> None:
    program = (
        "import sys; from rabtriever_core.cli import app\n"
        "try: app(prog_name='rabtriever')\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'numpy', 'pandas', 'qdrant_client', 'dvc', 'dagster'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)))"
    )
    said = {
        "_RABTRIEVER_COMPLETE": "complete_bash",
        "COMP_WORDS": f"rabtriever {words}",
        "COMP_CWORD": str(len(words.split(" "))),
        "PYTHONPATH": str(ROOT),
        "RABTRIEVER_WORKSPACE": str(tmp_path),
    }
    finished = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, env=said
    )
    assert finished.stdout.endswith("heavy: []\n")


def test_a_script_for_the_shell() -> None:
    said = {"_RABTRIEVER_COMPLETE": "source_bash"}
    script = CliRunner().invoke(app, [], prog_name="rabtriever", env=said).output
    assert "complete -o default -F _rabtriever_completion rabtriever" in script
