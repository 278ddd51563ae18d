"""The query tower as an ONNX graph, in float32 or with its weights in int8 (extra `onnx`)."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rabtriever_core.index.query_tower import QueryTower
from rabtriever_core.integrations import missing_extra
from rabtriever_core.integrations.export_student import has_offsets
from rabtriever_core.integrations.export_tokenizer import backend_of
from rabtriever_core.integrations.onnx import INPUTS, MODEL_FILE, OUTPUTS, TOKENIZER_FILE, QuerySide

if TYPE_CHECKING:
    from torch import Tensor, nn

_LARGE = 2**30
"""Bytes of weights from which they lie in a file beside the graph; ONNX files end at 2 GB."""


def query_side(tower: QueryTower) -> QuerySide:
    """How the tower's prompt reads a query alone."""
    return QuerySide(**asdict(tower.student.query_encoder.prompt.query_side))


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
    backend = backend_of(encoder.prompt.tokenizer, "serve this backbone with torch")
    backend.save(str(folder / TOKENIZER_FILE))
    module = _module(tower)
    # Two rows of unlike length, so that no size is taken for a constant.
    example = encoder.pad([[1] * 7, [2]])
    sizes = {"ids": {0: Dim.DYNAMIC, 1: Dim.DYNAMIC}, "lengths": {0: Dim.DYNAMIC}}
    # It says that torchvision is not there.
    with torch.no_grad(), _quiet("torch.onnx._internal.exporter._registration"):
        program = torch.export.export(module, example, dynamic_shapes=sizes, strict=False)
        torch.onnx.export(
            program,
            f=folder / MODEL_FILE,
            dynamo=True,
            input_names=INPUTS,
            output_names=OUTPUTS,
            external_data=_bytes(module) > _LARGE,
            verbose=False,
        )


def quantize_graph(folder: Path) -> None:
    """Round the weights of `tower.onnx` to int8, in place.

    Matrices have a step for every column, a table of token vectors one for all of it. What meets a
    matrix is rounded too, by the range that it has in a batch. Weights take 7 of the 8 bits: with
    all of them, processors without VNNI overflow, and a release would rank otherwise there.
    """
    from onnxruntime.quantization import quantize_dynamic

    whole = folder / "float32"
    whole.mkdir()
    for path in folder.glob(f"{MODEL_FILE}*"):
        path.rename(whole / path.name)
    # It says that it leaves numbers in double precision alone.
    with _quiet(None):
        quantize_dynamic(
            whole / MODEL_FILE,
            folder / MODEL_FILE,
            op_types_to_quantize=["MatMul", "Gather"],
            per_channel=True,
            reduce_range=True,
            use_external_data_format=sum(p.stat().st_size for p in whole.iterdir()) > _LARGE,
        )
    shutil.rmtree(whole)


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


def _bytes(module: "nn.Module") -> int:
    tensors = [*module.parameters(), *module.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


@contextmanager
def _quiet(name: str | None) -> Iterator[None]:
    """Without a logger's warnings; None is the root, which then gets no handler by a warning."""
    speaker, silent = logging.getLogger(name), logging.NullHandler()
    before = speaker.level
    speaker.setLevel(logging.ERROR)
    speaker.addHandler(silent)
    try:
        yield
    finally:
        speaker.removeHandler(silent)
        speaker.setLevel(before)
