"""A workspace: one folder with settings, data, artifacts and reports of one data set."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rabtriever_core.config import Settings, load_settings
from rabtriever_core.workspace.atomic import write_json

PARAMS = "params.yaml"
VARIABLE = "RABTRIEVER_WORKSPACE"
"""Environment: the workspace, where none is given."""


def workspace_root(given: Path | str | None = None) -> Path:
    """The folder given, else that of RABTRIEVER_WORKSPACE, else the current one."""
    return Path(given or os.environ.get(VARIABLE) or ".").resolve()


@dataclass(frozen=True)
class Workspace:
    """Where everything of one pipeline lies; nothing is written outside it."""

    root: Path
    settings: Settings

    @classmethod
    def open(cls, root: Path, overrides: tuple[str, ...] = ()) -> "Workspace":
        """Open the workspace at `root`.

        Raises:
            ConfigError: there is no params.yaml, or a setting is invalid.
        """
        root = root.resolve()
        return cls(root, load_settings(root / PARAMS, overrides))

    @property
    def dataset_folder(self) -> Path:
        """The raw BEIR folder."""
        return self.root / self.settings.dataset.folder

    @property
    def reports(self) -> Path:
        """benchmark.html, benchmark.json and plots."""
        return self.root / "reports"

    @property
    def measurements(self) -> Path:
        """What the measuring commands write; no stage reads it."""
        return self.root / "measurements"

    @property
    def validation_page(self) -> Path:
        """What was found in the data, for people."""
        return self.root / "validation.html"

    @property
    def data_changes(self) -> Path:
        """The validated data against the version before: figures, plot, page."""
        return self.root / "data_changes"

    @property
    def work(self) -> Path:
        """Unfinished work that a next run resumes from."""
        return self.root / ".work"

    @property
    def qdrant(self) -> Path:
        """Storage of the local-mode index."""
        return self.root / "qdrant"

    @property
    def alias(self) -> str:
        """The collection name applications query."""
        return self.settings.index.collection or self.settings.dataset.name

    def artifact(self, stage: str) -> Path:
        """Folder of a stage's artifact."""
        return self.reports if stage == "benchmark_report" else self.root / "artifacts" / stage

    def record_seconds(self, stage: str, seconds: float) -> None:
        """Remember how long a stage took (kept apart: artifacts hold nothing that varies)."""
        write_json(self._seconds_file, self.seconds() | {stage: round(seconds, 2)})

    def seconds(self) -> dict[str, Any]:
        """Duration of the last real run of every stage on this machine."""
        path = self._seconds_file
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def record_embedding_work(self, work: dict[str, Any]) -> None:
        """Remember what the last embedding did, and the last one of all documents."""
        whole = work if work["embedded"] == work["documents"] else self.embedding_work().get("full")
        write_json(self._embedding_file, work | {"full": whole})

    def embedding_work(self) -> dict[str, Any]:
        """What the last embedding did: documents, how many of them it embedded, seconds.

        `full` is the same of the last run that embedded all, for comparison.
        """
        path = self._embedding_file
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    @property
    def _embedding_file(self) -> Path:
        return self.root / "logs" / "embedding.json"

    @property
    def _seconds_file(self) -> Path:
        return self.root / "logs" / "seconds.json"
