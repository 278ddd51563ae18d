"""Parts of releases that DVC has linked with its cache stay what they were, whatever is done."""

import hashlib
from pathlib import Path

import pytest

from rabtriever_core.dvc.recording import init_dvc
from rabtriever_core.releases.promotion import promote, prune, restore, rollback
from rabtriever_core.releases.store import part_folder
from rabtriever_core.workspace.artifacts import folder_hash
from tests.asking import ask
from tests.core.releases.conftest import Make
from tests.core.releases.life import grown, life_dataset


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["hardlink", "symlink"])
def test_promotions_and_rollbacks(
    kind: str, make: Make, tmp_path: Path, real_dvc: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(tmp_path / "settings"))
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "config").write_text(f"[cache]\n    type = {kind}\n")
    root = tmp_path / "work"
    root.mkdir()
    init_dvc(root)
    first = promote(make(), by="ana").release
    second = promote(make(salt=1, dataset=grown(life_dataset())), by="ana").release
    workspace = make(salt=2, releases={"keep": 2})
    assert rollback(workspace, by="ana").id == first.id
    assert restore(workspace, by="ana").id == first.id
    assert promote(workspace, second.id, by="ana").decision == "promoted"
    assert prune(workspace, by="ana") == []
    assert ask(workspace, "tell 5", 1).release.id == second.id
    for release in (first, second):
        for hash_ in release.parts.values():
            assert folder_hash(part_folder(workspace, hash_)) == hash_
    kept = [path for path in (root / ".dvc/cache/files/md5").rglob("*") if path.is_file()]
    assert kept
    for path in kept:
        content = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        assert path.parent.name + path.name.removesuffix(".dir") == content
