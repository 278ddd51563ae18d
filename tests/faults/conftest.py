"""A workspace that serves one release and has built the next; every cell gets a copy of it."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from rabtriever_core.data.dataset import write_dataset
from rabtriever_core.dvc.recording import record_stage
from rabtriever_core.releases.promotion import promote
from rabtriever_core.stages import STAGES, run_stage
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import folder_hash
from tests.asking import ask
from tests.core.small import small_dataset
from tests.e2e.conftest import small_workspace

QUERIES = ("Well. He lied again and I am furious.", "It is two in the morning. I miss her.")

Answers = tuple[str, list[list[tuple[str, float]]]]


def answers(workspace: Workspace) -> Answers:
    """Release and hits of some queries, as an application gets them."""
    found = [ask(workspace, text, 5) for text in QUERIES]
    (release,) = {answer.release.id for answer in found}
    return release, [[(hit.document_id, round(hit.margin, 4)) for hit in a.hits] for a in found]


@dataclass(frozen=True)
class Cell:
    """A workspace of its own, and what must be true of it."""

    workspace: Workspace
    hashes: dict[str, str]
    """Stage → content hash of the artifact it builds, undisturbed."""
    served: Answers
    """What is answered until the candidate is promoted."""
    promoted: Answers
    """What is answered after."""

    @property
    def collection(self) -> str:
        """Physical collection of the candidate."""
        from tests.faults.injection import read_json

        record = read_json(self.workspace.artifact("qdrant_collection") / "collection.json")
        return str(record["collection"])

    def is_served_as_before(self) -> bool:
        """Whether an application gets the old release's answers."""
        return answers(self.workspace) == self.served

    def is_what_it_should_be(self, stage: str) -> bool:
        """Whether a stage's artifact is the one of an undisturbed run."""
        if stage == "benchmark_report":  # holds measured times
            return (self.workspace.reports / "benchmark.html").is_file()
        return folder_hash(self.workspace.artifact(stage)) == self.hashes[stage]

    def without(self, stage: str) -> "Cell":
        """The same, a stage's artifact not yet built (nor the collection that it uploads)."""
        from rabtriever_core.index.connection import connect

        if stage == "qdrant_collection":
            with connect(self.workspace.settings.index, self.workspace.qdrant) as client:
                client.delete_collection(self.collection)
        shutil.rmtree(self.workspace.artifact(stage))
        return self


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Cell:
    folder = tmp_path_factory.mktemp("faults")
    write_dataset(small_dataset(), folder / "small")
    workspace = small_workspace(folder / "work", folder / "small")
    for stage in STAGES:
        run_stage(workspace, stage.name)
        record_stage(workspace, stage.name)
    promote(workspace, by="test")
    served = answers(workspace)
    params = workspace.root / "params.yaml"
    values = yaml.safe_load(params.read_text())
    values["student"]["reverse_kl_weight"] = 0.5
    params.write_text(yaml.safe_dump(values))
    workspace = Workspace.open(workspace.root)
    hashes = {stage.name: run_stage(workspace, stage.name).hash for stage in STAGES}
    assert answers(workspace) == served
    done = Workspace.open(shutil.copytree(workspace.root, folder / "promoted"))
    promote(done, by="test")
    promoted = answers(done)
    assert promoted[0] != served[0]
    return Cell(workspace, hashes, served, promoted)


@pytest.fixture
def cell(base: Cell, tmp_path: Path) -> Cell:
    root = shutil.copytree(base.workspace.root, tmp_path / "work")
    return Cell(Workspace.open(root), base.hashes, base.served, base.promoted)


@pytest.fixture
def on(base: Cell) -> Callable[[Path], Cell]:
    """The same at a place of the test's choice."""
    return lambda folder: Cell(
        Workspace.open(shutil.copytree(base.workspace.root, folder)),
        base.hashes,
        base.served,
        base.promoted,
    )
