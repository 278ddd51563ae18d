"""What a stage works with."""

from dataclasses import dataclass
from pathlib import Path

from rabtriever_core.config import Settings
from rabtriever_core.data.dataset import Dataset, read_dataset
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import Artifact
from rabtriever_core.workspace.identity import FIRST_VERSION


@dataclass(frozen=True)
class StageContext:
    """What a stage's `make` function works with."""

    workspace: Workspace
    inputs: dict[str, Artifact]
    output: Path
    """Write the artifact's files here."""
    checkpoints: Path
    """Unfinished work; still there after a kill."""
    force: bool = False
    """Nothing of an earlier artifact may be kept."""
    version: int = FIRST_VERSION
    """Of the stage's code."""

    @property
    def settings(self) -> Settings:
        """All settings."""
        return self.workspace.settings

    def dataset(self) -> Dataset:
        """The validated data set."""
        folder = self.inputs["validated_dataset"].folder
        return read_dataset(folder, self.settings.dataset.name, self.settings.dataset.language)
