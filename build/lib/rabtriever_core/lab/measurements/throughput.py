"""How fast a shape embeds, scores and trains: tokens per second, and the share of the peak."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rabtriever_core.config import Settings
from rabtriever_core.errors import ConfigError
from rabtriever_core.models.backbone import Backbone, pick_device, tiny_backbone
from rabtriever_core.models.precision import precision_of
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.workspace.atomic import write_json
from rabtriever_core.workspace.provenance import computer

FILE = "throughput.json"
_WARM_UP = 2
_PEAK_SIDE = {"cuda": 8192, "mps": 4096, "cpu": 2048}
"""Of the square matrices whose product is the peak."""


@dataclass(frozen=True)
class Workload:
    """A batch of documents, each read with some queries."""

    document_tokens: int = 128
    """Length of every document side, template included."""
    query_tokens: int = 32
    """Length of every query side, template included."""
    documents: int = 32
    queries: int = 8
    """Per document."""
    seconds: float = 5.0
    """Every measurement repeats its batch for this long."""

    @property
    def pairs(self) -> int:
        """Documents with a query each."""
        return self.documents * self.queries

    @property
    def pair_tokens(self) -> int:
        """Tokens that are computed to score the batch: documents once, a query per pair."""
        return self.documents * self.document_tokens + self.pairs * self.query_tokens


def measure_shape(settings: Settings, name: str, workload: Workload, folder: Path) -> Path:
    """Measure `backbone.tiny`'s shape with random weights; writes `throughput.json`.

    Args:
        settings: runtime, backbone, prompt.
        name: what the backbone is called.
        workload: the batch.
        folder: where to write.

    Returns:
        The file's path.

    Raises:
        ConfigError: document and query do not fit the backbone's context, or the precision is two.
    """
    runtime, tiny = settings.runtime, settings.backbone.tiny
    if runtime.precision == "mixed":
        raise ConfigError(
            "runtime.precision mixed trains in bfloat16 and embeds in tf32, which have peaks of "
            "their own: measure either by its name"
        )
    if workload.document_tokens + workload.query_tokens > tiny.max_positions:
        raise ConfigError(
            f"a document of {workload.document_tokens} tokens and a query of "
            f"{workload.query_tokens} are longer than the backbone's context "
            f"({tiny.max_positions}): change --document-tokens or --query-tokens"
        )
    backbone = tiny_backbone(settings.backbone, settings.prompt, ["throughput"], runtime.seed)
    dtype = getattr(torch, runtime.weights_dtype)
    backbone.model.to(device=pick_device(runtime), dtype=dtype).eval()
    rows = measure(backbone, workload, runtime.seed)
    body = sum(p.numel() for p in backbone.body.parameters())
    measured = {
        "title": f"Throughput: {name}",
        "note": f"Random weights, {body / 1e6:.0f} M parameters in the blocks and embeddings of "
        f"{precision_of(dtype, backbone.device)}; {workload.documents} documents of "
        f"{workload.document_tokens} tokens with {workload.queries} queries of "
        f"{workload.query_tokens} each. FLOPs are those of the "
        "matrix products, attention included; their share is of the fastest square product that "
        "the same run measured.",
        "machine": computer(backbone.device.type),
        "rows": rows,
    }
    path = folder / FILE
    write_json(path, measured)
    return path


def measure(backbone: Backbone, workload: Workload, seed: int) -> list[dict[str, Any]]:
    """Embedding, scoring and training of a teacher, and the peak they are held to.

    Returns:
        Rows of: work, tokens_per_second, pairs_per_second (where there are pairs), tflops (FLOPs
        per second / 10¹²), share_of_peak.
    """
    rng = np.random.default_rng(seed)
    words = len(backbone.prompt.tokenizer)
    documents = rng.integers(words, size=(workload.documents, workload.document_tokens)).tolist()
    queries = rng.integers(words, size=(workload.pairs, workload.query_tokens)).tolist()
    of_document = np.repeat(np.arange(workload.documents), workload.queries).tolist()
    reranker = GenerativeReranker(backbone)

    def score() -> torch.Tensor:
        states, _ = reranker.pair_states(documents, queries, of_document, range(len(queries)))
        return states @ reranker.direction()

    def train() -> None:
        backbone.model.zero_grad(set_to_none=True)
        torch.nn.functional.softplus(-score()).mean().backward()  # type: ignore[no-untyped-call]

    with torch.inference_mode():
        peak = _peak(backbone)
        embed_seconds = _seconds(lambda: backbone.last_states(documents), workload, backbone)
        score_seconds = _seconds(score, workload, backbone)
    train_seconds = _seconds(train, workload, backbone)
    d, q = workload.document_tokens, workload.query_tokens
    embedded = workload.documents * d
    of_documents = _flops(backbone, embedded, d / 2)
    of_pairs = of_documents + _flops(backbone, workload.pairs * q, d + q / 2)
    rows: list[dict[str, Any]] = [{"work": "matrix product (the peak)", "tflops": peak / 1e12}]
    for work, tokens, pairs, flops, seconds in (
        ("embedding documents", embedded, 0, of_documents, embed_seconds),
        ("teacher scoring pairs", workload.pair_tokens, workload.pairs, of_pairs, score_seconds),
        # Backward computes twice what forward does.
        ("teacher training, forward and backward", workload.pair_tokens, workload.pairs,
         3 * of_pairs, train_seconds),
    ):  # fmt: skip
        row = {"work": work, "tokens_per_second": tokens / seconds}
        if pairs:
            row["pairs_per_second"] = pairs / seconds
        row |= {"tflops": flops / seconds / 1e12, "share_of_peak": flops / seconds / peak}
        rows.append(row)
    return rows


def summary(path: Path) -> str:
    """The measurement as lines of text."""
    measured = json.loads(path.read_text(encoding="utf-8"))
    peak, *rows = measured["rows"]
    lines = [
        measured["title"],
        measured["machine"],
        f"{peak['work']}: {peak['tflops']:.2f} TFLOP/s",
    ]
    lines += [
        f"{row['work']}: {row['tokens_per_second']:,.0f} tokens/s, {row['tflops']:.2f} TFLOP/s, "
        f"{row['share_of_peak']:.0%} of the peak"
        for row in rows
    ]
    return "\n".join(lines)


def _flops(backbone: Backbone, tokens: int, attended: float) -> float:
    """Of the matrix products of the blocks for `tokens`, each looking at `attended` on average."""
    linear = [m for m in backbone.body.modules() if isinstance(m, torch.nn.Linear)]
    weights = sum(module.weight.numel() for module in linear)
    config = backbone.model.config.get_text_config()
    width = int(config.num_attention_heads * config.head_dim)
    attention = 2 * int(config.num_hidden_layers) * width * attended
    return 2.0 * tokens * (weights + attention)


def _peak(backbone: Backbone) -> float:
    """FLOPs per second of a large square product in the backbone's own precision."""
    side = _PEAK_SIDE[backbone.device.type]
    dtype = next(backbone.model.parameters()).dtype
    a, b = (torch.randn(side, side, device=backbone.device).to(dtype) for _ in range(2))
    return 2.0 * side**3 / _seconds(lambda: a @ b, Workload(seconds=1.0), backbone)


def _seconds(work: Callable[[], object], workload: Workload, backbone: Backbone) -> float:
    """Median seconds of a batch."""
    times: list[float] = []
    started = time.perf_counter()
    while len(times) < _WARM_UP + 3 or time.perf_counter() - started < workload.seconds:
        before = time.perf_counter()
        work()
        wait_for(backbone.device)
        times.append(time.perf_counter() - before)
    return float(np.median(times[_WARM_UP:]))


def wait_for(device: torch.device) -> None:
    """An accelerator returns before it is done."""
    if device.type != "cpu":
        getattr(torch, device.type).synchronize()
