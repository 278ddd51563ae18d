"""MLflow's pyfunc of a release: it answers queries, and needs no workspace (extra `mlflow`).

    import mlflow
    import pandas as pd

    model = mlflow.pyfunc.load_model("models:/support@served")
    hits = model.predict(pd.DataFrame({"query": ["I snapped at my sister."]}), params={"k": 3})

The model holds the query tower as ONNX. Documents stay in Qdrant, in the collection of the same
release: on the server it was made with, or the one that QDRANT_URL names. MLflow calls
`_load_pyfunc` of this module.
"""

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from rabtriever_core.config import IndexConfig
from rabtriever_core.errors import IndexMismatchError, ModelError
from rabtriever_core.index.aliases import check_built_by, physical_collection
from rabtriever_core.index.connection import connect, open_server
from rabtriever_core.index.lexical import Lexical
from rabtriever_core.index.memory import in_memory
from rabtriever_core.index.quantization import search_params
from rabtriever_core.index.search import search
from rabtriever_core.index.server_errors import server_errors
from rabtriever_core.integrations.onnx import OnnxQueryTower
from rabtriever_core.releases.record import Release
from rabtriever_core.releases.serving import release_index
from rabtriever_core.releases.store import check
from rabtriever_core.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = {
    "query": "string",
    "rank": "long",
    "document_id": "string",
    "title": "string",
    "text": "string",
    "margin": "double",
    "probability": "double",
    "fits": "boolean",
}
"""Of an answer, with MLflow's types: a row for every hit."""
_MAY_LACK = "fits"  # where the release has no threshold
K = 5
"""Hits per query where `params` name no `k`."""


class ReleaseModel:
    """A release, opened for questions."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        """Open the query tower, and find its collection.

        Args:
            folder: the export.
            config: `index`, settings of `IndexConfig`; `qdrant`, the folder of local mode.

        Raises:
            ArtifactError: the export is damaged.
            IndexMismatchError: its collection is not there, or of another release.
            IndexUnavailableError: Qdrant cannot be reached.
        """
        self._tower = OnnxQueryTower(folder)
        here = {"api_key": os.environ.get("QDRANT_API_KEY")}
        if os.environ.get("QDRANT_URL"):
            here["url"] = os.environ["QDRANT_URL"]
        index = IndexConfig.model_validate({**config["index"], **here})
        self._url, self._params = index.url, search_params(index)
        info, local = self._tower.info, Path(config["qdrant"])
        if index.url is None and not local.is_dir():
            raise IndexMismatchError(
                f"the documents of release {info.release} were in {local}, which is not here: set "
                "QDRANT_URL to a server that has them"
            )
        with connect(index, local) as client:
            built = physical_collection(client, info.collection)
            check_built_by(built, {"gauge": info.gauge})
            self._client = (
                open_server(index, index.url) if index.url else in_memory(client, info.collection)
            )

    def predict(
        self, model_input: "pd.DataFrame", params: Mapping[str, Any] | None = None
    ) -> "pd.DataFrame":
        """Hits of every query, best first: the columns are `COLUMNS`.

        Args:
            model_input: a column `query`.
            params: `k`, hits per query.
        """
        import pandas as pd

        queries = [str(query) for query in model_input["query"]]
        info = self._tower.info
        k = int((params or {}).get("k", K))
        encoded = self._tower.encode(queries)
        with server_errors(self._url or "local mode"):
            found = search(self._client, info.collection, encoded, k, self._params)
        rows = []
        least = info.calibration.threshold
        for query, hits in zip(queries, found, strict=True):
            probabilities = info.calibration.probabilities([hit.margin for hit in hits]).tolist()
            for rank, (hit, probability) in enumerate(zip(hits, probabilities, strict=True), 1):
                fits = None if least is None else probability >= least
                shown = hit.document_id, hit.title, hit.text, hit.margin, probability, fits
                rows.append((query, rank, *shown))
        return pd.DataFrame(rows, columns=list(COLUMNS))


def _load_pyfunc(path: str, model_config: Mapping[str, Any]) -> ReleaseModel:
    return ReleaseModel(Path(path), model_config)


def save_model(workspace: Workspace, release: Release, folder: Path) -> None:
    """Write a release as a pyfunc of MLflow.

    Args:
        workspace: whose release.
        release: which one.
        folder: to write, which must not be there.

    Raises:
        ModelError: its query tower cannot be exported to ONNX, or does not rank alone.
        ReleaseError: the release is not here, or not complete.
    """
    from importlib.metadata import version

    from mlflow.models import ModelSignature
    from mlflow.pyfunc import save_model as save_pyfunc
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    from rabtriever_core.integrations.onnx_export import export_query_tower

    if Lexical.load(check(workspace, release, ("qdrant_collection",))["qdrant_collection"]):
        raise ModelError(
            f"release {release.id} ranks by BM25 too (index.bm25_weight), which the exported query "
            "tower does not: ask the query service instead"
        )
    index = release_index(workspace, release)
    asked = {"url", "exact", "quantization", "rescore", "oversampling", "timeout_seconds"}
    with TemporaryDirectory() as scratch, warnings.catch_warnings():
        # The signature is known; with an example MLflow would ask Qdrant to find it out.
        warnings.filterwarnings("ignore", message=".*An input example was not provided")
        tower = Path(scratch) / "tower"
        export_query_tower(workspace, tower, release=release)
        save_pyfunc(
            str(folder),
            loader_module=__name__,
            data_path=str(tower),
            model_config={
                "index": index.model_dump(mode="json", include=asked),
                "qdrant": str(workspace.qdrant),
            },
            signature=ModelSignature(
                inputs=Schema([ColSpec("string", "query")]),
                outputs=Schema(
                    [ColSpec(kind, name, name != _MAY_LACK) for name, kind in COLUMNS.items()]
                ),
                params=ParamSchema([ParamSpec("k", "long", K)]),
            ),
            pip_requirements=[f"rabtriever[mlflow]=={version('rabtriever')}"],
        )
