"""Which layers of a pretrained model matter on a data set: how far each turns its texts' states.

A layer's block influence is 1 − cos(state before it, state after it), the mean over all tokens
(ShortGPT, arXiv 2403.03853). A layer that hardly turns them is the one to leave out.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rabtriever_core.config import Settings
from rabtriever_core.data.dataset import Dataset, read_dataset
from rabtriever_core.errors import ConfigError
from rabtriever_core.index.checks.exactness import spread
from rabtriever_core.lab.ablation.sources import Source
from rabtriever_core.models.backbone import pretrained_backbone
from rabtriever_core.models.layers import layers_of
from rabtriever_core.models.model_source import encoder_source
from rabtriever_core.models.pretrained_encoder import pretrained_encoder
from rabtriever_core.models.text_encoder import TextEncoder
from rabtriever_core.workspace.atomic import write_json
from rabtriever_core.workspace.provenance import computer

FILE = "layer_importance.json"
_ROWS_PER_BATCH = 16


@dataclass(frozen=True)
class Model:
    """What is measured."""

    name: str
    """As backbone.model or bi_encoder.encoder has it."""
    encoder: bool
    """Whether it reads texts apart; a causal language model reads pairs."""

    @property
    def setting(self) -> str:
        """Where its layers are chosen."""
        return "bi_encoder.layers" if self.encoder else "backbone.layers"

    def load(self, settings: Settings) -> TextEncoder:
        """All of its layers, with the prompt of the settings.

        Raises:
            ModelError: it is not found, or does not fit.
        """
        if self.encoder:
            source = encoder_source(self.name, Path())
            return pretrained_encoder(source, settings.prompt, settings.runtime)
        whole = settings.backbone.model_copy(update={"model": self.name, "layers": None})
        return pretrained_backbone(whole, settings.prompt, settings.runtime)

    def rows(self, prompt: Any, dataset: Dataset, split: str, queries: int) -> list[list[int]]:
        """Token ids of queries with a right document each, or of both apart.

        Args:
            prompt: of the model.
            dataset: the texts.
            split: whose queries.
            queries: at most, spread over the split.
        """
        by_id = {document.id: document for document in dataset.documents}
        right = {
            query: by_id[min(found)]
            for query in dataset.split_queries(split)
            if query in dataset.queries and (found := dataset.relevant(split, query) & by_id.keys())
        }
        chosen = spread(list(right), queries)
        documents = prompt.documents([right[query] for query in chosen])
        asked = prompt.queries([dataset.queries[query] for query in chosen])
        if self.encoder:
            return [*documents, *prompt.alone(asked)]
        return [[*document, *query] for document, query in zip(documents, asked, strict=True)]


def measure_layers(
    model: Model, source: Source, settings: Settings, keep: int, queries: int, folder: Path
) -> Path:
    """Measure and write `layer_importance.json`; returns its path.

    Args:
        model: whose layers.
        source: the data set, whose training queries and their documents are read.
        settings: prompt, runtime, splits.
        keep: how many layers to choose.
        queries: how many training queries to read.
        folder: where to write.

    Raises:
        ConfigError: it has fewer layers than are to be kept.
        DatasetError: the data set is not there.
        ModelError: the model does not fit, or its layers cannot be told apart.
    """
    dataset = read_dataset(source.folder, source.name)
    loaded = model.load(settings)
    rows = model.rows(loaded.prompt, dataset, settings.dataset.train_split, queries)
    influence = block_influence(loaded, rows)
    if keep > len(influence):
        raise ConfigError(
            f"{model.name} has {len(influence)} layers: keep {keep} of them, or fewer"
        )
    kept = sorted(sorted(range(len(influence)), key=lambda layer: -influence[layer])[:keep])
    kind = " --encoder" if model.encoder else ""
    path = folder / FILE
    write_json(
        path,
        {
            "title": f"Influence of the layers of {Path(model.name).name} on {source.name}, "
            f"{len(rows)} texts",
            "command": f"rabtriever lab layer-importance {Path(model.name).name} --data "
            f"{source.name} -n {keep} --queries {queries}{kind}",
            "machine": computer(loaded.device.type),
            "setting": model.setting,
            "layers": kept,
            "rows": [
                {"layer": layer, "influence": value, "kept": layer in kept}
                for layer, value in enumerate(influence)
            ],
        },
    )
    return path


def block_influence(model: TextEncoder, rows: Sequence[Sequence[int]]) -> list[float]:
    """Of every layer: the mean of 1 − cos(state before it, state after it) over all tokens."""
    import torch

    _, layers = layers_of(model.model)
    sums, mask = np.zeros(len(layers)), torch.empty(0)

    def watch(layer: int) -> Any:
        def hook(_: Any, given: tuple[Any, ...], named: dict[str, Any], made: Any) -> None:
            before: torch.Tensor = given[0] if given else named["hidden_states"]
            after: torch.Tensor = made[0] if isinstance(made, tuple) else made
            cosines = torch.cosine_similarity(before.float(), after.float(), dim=-1)
            sums[layer] += float((1 - cosines)[mask].double().sum())

        return hook

    hooks = [
        layer.register_forward_hook(watch(number), with_kwargs=True)
        for number, layer in enumerate(layers)
    ]
    order = sorted(rows, key=len)
    try:
        with torch.inference_mode():
            for start in range(0, len(order), _ROWS_PER_BATCH):
                ids, lengths = model.pad(order[start : start + _ROWS_PER_BATCH])
                mask = torch.arange(ids.shape[1], device=ids.device)[None] < lengths[:, None]
                model.padded_states(ids, lengths)
    finally:
        for hook in hooks:
            hook.remove()
    tokens = sum(map(len, rows))
    return [float(total) / tokens for total in sums]


def summary(path: Path) -> str:
    """The measurement as lines of text, and the setting that follows from it."""
    measured = json.loads(path.read_text(encoding="utf-8"))
    lines = [measured["title"], "layer  influence"]
    lines += [
        f"{row['layer']:5}  {row['influence']:9.4f}{'  kept' if row['kept'] else ''}"
        for row in measured["rows"]
    ]
    return "\n".join([*lines, f"{measured['setting']}: {measured['layers']}"])
