"""An exported query tower (`rabtriever export-onnx`), read without torch or a workspace.

The folder holds `tower.onnx` from token ids to vectors in the collection's coordinates,
`tokenizer.json`, and `tower.json`, which says of what release.
"""

from pathlib import Path

from rabtriever_core.errors import ArtifactError
from rabtriever_core.extras import missing_extra
from rabtriever_core.index.onnx.reader import TOWER_FILE, GraphInfo, QueryGraph, read_info
from rabtriever_core.models.probability import Calibration
from rabtriever_core.workspace.artifacts import folder_md5s


class TowerInfo(GraphInfo):
    """`tower.json` of an export."""

    release: str
    """The release it belongs to."""
    collection: str
    """The collection it can ask: no other has these coordinates."""
    calibration: Calibration
    """From margins to probabilities."""
    versions: dict[str, str]
    files: dict[str, str]
    """md5 of every other file."""


class OnnxQueryTower(QueryGraph):
    """Query texts → vectors in the collection's coordinates, as `QueryTower` gives them.

    In int8 a vector depends a little on the queries that are encoded together with it.

    Attributes:
        info: what `tower.json` says.
    """

    def __init__(self, folder: Path | str, *, threads: int | None = None) -> None:
        """Open a folder that `export_query_tower` wrote, every byte checked.

        Args:
            folder: of the export.
            threads: onnxruntime computes with; None leaves it to choose.

        Raises:
            ArtifactError: it is missing or damaged.
            ConfigError: onnxruntime or tokenizers is not installed.
        """
        folder = Path(folder)
        self.info = _checked(folder)
        try:
            super().__init__(folder, self.info.query, self.info.dimension, threads)
        except ImportError as error:
            raise missing_extra("local", error) from error


def _checked(folder: Path) -> TowerInfo:
    remedy = "export it again"
    info = read_info(folder, TowerInfo, remedy)
    found = {name: md5 for name, md5 in folder_md5s(folder).items() if name != TOWER_FILE}
    if found != info.files:
        differing = sorted({name for name, _ in found.items() ^ info.files.items()})
        raise ArtifactError(f"{folder} is damaged: {', '.join(differing)} differ; {remedy}")
    return info
