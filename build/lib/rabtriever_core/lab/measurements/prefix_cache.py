"""What a document's stored keys and values save: teacher margins with them and without, timed."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rabtriever_core.config import BackboneConfig, PromptConfig, RuntimeConfig
from rabtriever_core.errors import ConfigError, ModelError
from rabtriever_core.lab.measurements.throughput import wait_for
from rabtriever_core.models.backbone import Backbone, pick_device, tiny_backbone
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import load_artifact
from rabtriever_core.workspace.atomic import write_json
from rabtriever_core.workspace.provenance import computer

FILE = "prefix_cache.json"
CACHED = "document read once, its keys and values shared"
_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 5e-2}
"""Largest difference of margins, as a share of the largest margin (of 1 where all are smaller)."""


@dataclass(frozen=True)
class Reading:
    """One document and many queries."""

    document_tokens: int = 512
    """Length of the document side, template included."""
    queries: int = 32
    query_tokens: int = 16
    """Longest text of a query, the template apart; the shortest has half of it."""
    repeats: int = 7
    """Rounds that are timed."""

    @property
    def command(self) -> str:
        """The command that measures it, the workspace apart."""
        options = {name.replace("_", "-"): value for name, value in vars(self).items()}
        return " ".join(
            [
                "rabtriever lab measure-cache",
                *(f"--{name} {value}" for name, value in options.items()),
            ]
        )


def measure_prefix_cache(workspace: Workspace | None, reading: Reading, folder: Path) -> Path:
    """Measure and write `prefix_cache.json`; returns its path.

    Args:
        workspace: whose teacher; without one, a tiny untrained one of the default shape.
        reading: the workload.
        folder: where to write.

    Raises:
        ArtifactError: the workspace has no teacher.
        ConfigError: document and query do not fit the backbone's context.
        ModelError: the ways give different margins.
    """
    if workspace is None:
        runtime, system = RuntimeConfig(), "tiny untrained backbone"
        backbone = tiny_backbone(BackboneConfig(), PromptConfig(), ["prefix cache"], runtime.seed)
        backbone.model.to(pick_device(runtime)).eval()
        reranker = GenerativeReranker(backbone)
    else:
        runtime = workspace.settings.runtime
        system = f"teacher of {workspace.settings.dataset.name}"
        teacher = load_artifact(workspace.artifact("teacher")).folder
        reranker = GenerativeReranker.load(teacher, runtime)
    rows = measure(reranker, reading, runtime.seed)
    measured = {
        "title": f"Prefix cache: {system}, one document of {reading.document_tokens} tokens, "
        f"{reading.queries} queries",
        "command": reading.command
        + ("" if workspace is None else f" --workspace {workspace.root.name}"),
        "machine": computer(reranker.backbone.device.type),
        "rows": rows,
    }
    path = folder / FILE
    write_json(path, measured)
    return path


def measure(reranker: GenerativeReranker, reading: Reading, seed: int) -> list[dict[str, Any]]:
    """Time the ways to get the margins of one document with every query, and compare the margins.

    The ways take turns, each round in another order, so that a machine that slows down does so for
    all of them. A round's ratio is against the cached way in the same round. A multiple of
    cos(e_Q, e_D) in the margin costs all ways alike, and is left out.

    Returns:
        Rows of: way, median_ms, fastest_ms, slowest_ms of a round; ratio, lowest_ratio,
        highest_ratio (median, least and most over rounds); largest_difference of a margin, and
        largest_margin.

    Raises:
        ConfigError: document and query do not fit the backbone's context, or the query stands
            first.
        ModelError: margins differ by more than rounding.
    """
    backbone = reranker.backbone
    document, queries = _tokens(backbone, reading, seed)
    direction = reranker.direction()
    numbers = range(len(queries))
    whole = [document + query for query in queries]
    ways: dict[str, Callable[[], torch.Tensor]] = {
        CACHED: lambda: reranker.pair_states([document], queries, [0] * len(queries), numbers)[0],
        "whole sequences, one by one": lambda: torch.cat(
            [backbone.last_states([w]) for w in whole]
        ),
        "whole sequences, in one batch": lambda: backbone.last_states(whole),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    margins: dict[str, torch.Tensor] = {}
    with torch.inference_mode():
        for turn in range(reading.repeats + 1):
            names = list(ways)
            names = names[turn % len(names) :] + names[: turn % len(names)]
            for name in names:
                wait_for(backbone.device)
                started = time.perf_counter()
                margins[name] = ways[name]() @ direction
                wait_for(backbone.device)
                times[name].append((time.perf_counter() - started) * 1000)
    largest = max(float(values.abs().max()) for values in margins.values())
    tolerance = _TOLERANCE[next(backbone.model.parameters()).dtype] * max(1.0, largest)
    rows = []
    for name in ways:
        # The first round warms up.
        milliseconds, cached = np.array(times[name][1:]), np.array(times[CACHED][1:])
        difference = float((margins[name] - margins[CACHED]).abs().max())
        if not difference <= tolerance:
            raise ModelError(
                f"margins from {name} differ from the cached ones by {difference:.2g}, more than "
                f"rounding ({tolerance:.2g}): this backbone cannot share a document's keys and "
                "values, choose another"
            )
        rows.append(
            {
                "way": name,
                "median_ms": float(np.median(milliseconds)),
                "fastest_ms": float(milliseconds.min()),
                "slowest_ms": float(milliseconds.max()),
                "ratio": float(np.median(milliseconds / cached)),
                "lowest_ratio": float((milliseconds / cached).min()),
                "highest_ratio": float((milliseconds / cached).max()),
                "largest_difference": difference,
                "largest_margin": largest,
            }
        )
    return rows


def summary(path: Path) -> str:
    """The measurement as lines of text; the faster uncached way is the one that counts."""
    measured = json.loads(path.read_text(encoding="utf-8"))
    rows = measured["rows"]
    lines = [f"{measured['title']}\n{measured['machine']}"]
    lines += [
        f"{row['way']}: median {row['median_ms']:.1f} ms ({row['fastest_ms']:.1f} to "
        f"{row['slowest_ms']:.1f}), {row['ratio']:.1f} × cached ({row['lowest_ratio']:.1f} to "
        f"{row['highest_ratio']:.1f}), margins within {row['largest_difference']:.1g}"
        for row in rows
    ]
    best = min(rows[1:], key=lambda row: float(row["ratio"]))
    lines.append(f"the cache makes it {best['ratio']:.1f} times faster")
    return "\n".join(lines)


def _tokens(backbone: Backbone, reading: Reading, seed: int) -> tuple[list[int], list[list[int]]]:
    """Document side and query sides of random tokens in the template's frame."""
    spec = backbone.prompt.spec
    if not spec.document_first:
        raise ConfigError(
            "the prompt puts the query first, so that no document is read once for many queries: "
            "there is no cache to measure; set prompt.template to one that starts with the document"
        )
    head, tail = [*spec.start, *spec.document_prefix], [*spec.document_suffix]
    text = reading.document_tokens - len(head) - len(tail)
    context = int(backbone.model.config.get_text_config().max_position_embeddings)
    longest = len(spec.query_prefix) + reading.query_tokens + len(spec.answer_suffix)
    if text < 1 or reading.document_tokens + longest > context:
        raise ConfigError(
            f"a document of {reading.document_tokens} tokens with queries of up to {longest} must "
            f"leave room for the template ({len(head) + len(tail)}) and fit the backbone's context "
            f"({context}): change --document-tokens or --query-tokens"
        )
    rng = np.random.default_rng(seed)
    fixed = [*backbone.prompt.template_ids, spec.pad_id, spec.true_id, spec.false_id]
    words = np.setdiff1d(np.arange(len(backbone.prompt.tokenizer)), fixed)
    shortest = max(1, reading.query_tokens // 2)
    lengths = rng.integers(shortest, reading.query_tokens, size=reading.queries, endpoint=True)
    queries = [
        [*spec.query_prefix, *rng.choice(words, size=length).tolist(), *spec.answer_suffix]
        for length in lengths
    ]
    return [*head, *rng.choice(words, size=text).tolist(), *tail], queries
