"""Export of the query tower to ONNX: refused where its margins are not torch's (extra `onnx`)."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rabtriever_core.config import RuntimeConfig
from rabtriever_core.data.dataset import read_dataset
from rabtriever_core.errors import ModelError
from rabtriever_core.index.checks.exactness import spread
from rabtriever_core.index.query_tower import QueryTower
from rabtriever_core.index.stored_documents import StoredDocuments
from rabtriever_core.integrations import missing_extra
from rabtriever_core.integrations.export_folder import export_folder
from rabtriever_core.integrations.export_parity import PROBES
from rabtriever_core.integrations.export_student import has_offsets
from rabtriever_core.integrations.export_tokenizer import backend_of
from rabtriever_core.integrations.onnx import (
    INPUTS,
    MODEL_FILE,
    OUTPUTS,
    TOKENIZER_FILE,
    TOWER_FILE,
    OnnxQueryTower,
    Parity,
    QuerySide,
    TowerInfo,
)
from rabtriever_core.integrations.served import as_workspace
from rabtriever_core.models.arrays import Floats
from rabtriever_core.models.probability import Calibration
from rabtriever_core.releases.record import Release
from rabtriever_core.releases.served import served_now
from rabtriever_core.releases.serving import SERVING_PARTS, release_index, release_runtime
from rabtriever_core.releases.store import check
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import folder_md5s
from rabtriever_core.workspace.atomic import write_text

if TYPE_CHECKING:
    from torch import Tensor, nn


TOLERANCE = 1e-3
"""Largest difference of a margin that an export may have."""
_QUERIES, _DOCUMENTS = 64, 1000


def export_query_tower(
    workspace: Workspace | Path | str | None,
    folder: Path | str,
    *,
    release: Release | None = None,
) -> TowerInfo:
    """Write the query tower of a release as a folder that needs neither torch nor transformers.

    The graph computes in float32, whatever the release computes in; the difference is measured.

    Args:
        workspace: whose release; see `Retriever.open`.
        folder: to write; an earlier export there is replaced.
        release: which one; the served one where it is not given.

    Returns:
        What `tower.json` says, parity included.

    Raises:
        ConfigError: the extra `onnx` is not installed, or the folder holds something else.
        ModelError: margins differ by more than `TOLERANCE`, or the tokenizer has no fast form.
        ReleaseError: the release is not here, or not complete.
    """
    opened = as_workspace(workspace)
    release = release or served_now(opened)
    parts = check(opened, release, (*SERVING_PARTS, "document_embeddings", "validated_dataset"))
    served = release_runtime(opened, release)
    exact = served.model_copy(update={"precision": "float32", "device": "cpu"})

    def tower(runtime: RuntimeConfig) -> QueryTower:
        student, teacher, gauge = (
            parts[name] for name in ("student", "teacher", "qdrant_collection")
        )
        return QueryTower.load(student, teacher, gauge, release_index(opened, release), runtime)

    reference = tower(exact)
    stored = _stored(reference, parts["document_embeddings"])
    queries = list(read_dataset(parts["validated_dataset"]).queries.values())
    texts = [*PROBES, *spread(queries, _QUERIES)]
    with export_folder(Path(folder), TOWER_FILE) as written:
        write_graph(reference, written)
        info = TowerInfo(
            release=release.id,
            collection=release.collection,
            gauge=reference.gauge.fingerprint,
            dimension=reference.dimension,
            query=query_side(reference),
            calibration=Calibration.load(parts["calibration"]),
            parity=Parity(
                queries=len(texts),
                documents=len(stored),
                max_error=0,
                served_precision=served.precision,
                served_difference=0,
            ),
            versions={name: version(name) for name in ("rabtriever", "torch", "onnxruntime")},
            files=folder_md5s(written),
        )
        _write(info, written)
        exported = OnnxQueryTower(written)
        error = largest_difference(exported, reference, texts, stored)
        if not error <= TOLERANCE:
            raise ModelError(
                f"release {release.id}: margins of the exported tower differ from torch's by "
                f"{error:.2g}, more than {TOLERANCE:g}; nothing was written: serve this backbone "
                "with torch"
            )
        difference = error
        if served.precision != exact.precision:
            difference = largest_difference(exported, tower(served), texts, stored)
        measured = {"max_error": error, "served_difference": difference}
        info = info.model_copy(update={"parity": info.parity.model_copy(update=measured)})
        _write(info, written)
    return info


def query_side(tower: QueryTower) -> QuerySide:
    """How the tower's prompt reads a query alone."""
    return QuerySide(**asdict(tower.student.query_encoder.prompt.query_side))


def largest_difference(
    exported: OnnxQueryTower, tower: QueryTower, texts: Sequence[str], stored: Floats
) -> float:
    """Of the margins of queries with stored vectors [m, k]; queries are read alone and together."""
    expected = tower.encode(texts).margins(stored)
    found = [exported.encode(texts, batch_size=size).margins(stored) for size in (1, len(texts))]
    return max(float(np.abs(margins - expected).max()) for margins in found)


def write_graph(tower: QueryTower, folder: Path) -> None:
    """Write `tower.onnx` and `tokenizer.json`; nothing is compared yet.

    Args:
        tower: in float32 on the CPU.
        folder: empty.

    Raises:
        ConfigError: the extra `onnx` is not installed.
        ModelError: the tokenizer has no fast form.
    """
    try:
        import onnxscript  # noqa: F401 - torch's exporter needs it
    except ImportError as error:
        raise missing_extra("onnx", error) from error
    import torch
    from torch.export import Dim

    encoder = tower.student.query_encoder
    _write_tokenizer(encoder.prompt.tokenizer, folder / TOKENIZER_FILE)
    module = _module(tower)
    # Two rows of unlike length, so that no size is taken for a constant.
    example = encoder.pad([[1] * 7, [2]])
    sizes = {"ids": {0: Dim.DYNAMIC, 1: Dim.DYNAMIC}, "lengths": {0: Dim.DYNAMIC}}
    with torch.no_grad(), _quiet():
        program = torch.export.export(module, example, dynamic_shapes=sizes, strict=False)
        torch.onnx.export(
            program,
            f=folder / MODEL_FILE,
            dynamo=True,
            input_names=INPUTS,
            output_names=OUTPUTS,
            # Weights in a file beside it where they are large; ONNX files end at 2 GB.
            external_data=_bytes(module) > 2**30,
            verbose=False,
        )


def _module(tower: QueryTower) -> "nn.Module":
    """(ids [n, l], lengths [n]) → vectors [n, k], scales [n], offsets [n], as `QueryTower` does."""
    import torch
    from torch import nn

    student, gauge = tower.student, tower.gauge

    class Graph(nn.Module):
        direction: "Tensor"
        mean: "Tensor"
        query_map: "Tensor"

        def __init__(self) -> None:
            super().__init__()
            self.model, self.predictor = student.query_encoder.model, student.predictor
            self.register_buffer("direction", student.direction)
            self.register_buffer("mean", torch.from_numpy(gauge.mean))
            if gauge.query_map is not None:
                self.register_buffer("query_map", torch.from_numpy(gauge.query_map))

        def forward(self, ids: "Tensor", lengths: "Tensor") -> tuple["Tensor", "Tensor", "Tensor"]:
            e_q = student.query_encoder.padded_states(ids, lengths)
            phi = self.predictor.query_vectors(e_q, self.direction)
            wide = phi.double()
            offsets = (wide @ self.mean).float()
            if has_offsets(student.predictor):
                offsets = offsets + self.predictor.query_offsets(e_q, self.direction)
            vectors = phi if gauge.query_map is None else (wide @ self.query_map.T).float()
            scales = torch.ones_like(offsets)
            if tower.fill_range and gauge.reach > 0:
                largest = vectors.abs().amax(dim=1)
                scales = torch.where(largest > 0, largest / gauge.reach, scales)
            return vectors / scales[:, None], scales, offsets

    return Graph().eval()


def _write_tokenizer(tokenizer: Any, path: Path) -> None:
    backend_of(tokenizer, "serve this backbone with torch").save(str(path))


def _stored(tower: QueryTower, embeddings: Path) -> Floats:
    """Vectors as the collection holds them [m, k], of documents spread over the corpus."""
    documents = StoredDocuments.open(embeddings)
    return documents.stored(tower, spread(range(len(documents)), _DOCUMENTS))


def _write(info: TowerInfo, folder: Path) -> None:
    write_text(folder / TOWER_FILE, info.model_dump_json(indent=2) + "\n")


def _bytes(module: "nn.Module") -> int:
    tensors = [*module.parameters(), *module.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's word that torchvision is not there."""
    registration = logging.getLogger("torch.onnx._internal.exporter._registration")
    before = registration.level
    registration.setLevel(logging.ERROR)
    try:
        yield
    finally:
        registration.setLevel(before)
