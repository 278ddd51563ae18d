"""Pre-training of a small backbone on plain text, before it meets any data set.

Two passages that follow each other stand for document and query: the same warm-up then teaches
words, grammar, and that what belongs together is near, in the very prompt that is used later.
"""

import lzma
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rabtriever_core.config import Settings
from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import DatasetError
from rabtriever_core.models.backbone import Backbone, tiny_backbone
from rabtriever_core.models.context import check_context
from rabtriever_core.training.checkpoints import last_complete_checkpoint
from rabtriever_core.training.examples import Examples
from rabtriever_core.training.history import write_history
from rabtriever_core.training.warmup import warm_up
from rabtriever_core.workspace.artifacts import file_md5
from rabtriever_core.workspace.atomic import write_json
from rabtriever_core.workspace.provenance import computer

RECORD = "pretraining.json"
_DOCUMENT_WORDS, _QUERY_WORDS = (8, 64), (4, 32)
"""Fewest and most words of a passage."""
_TOKENIZER_PAIRS = 60_000
"""Pairs that the tokenizer is trained on, drawn from all of the text."""


@dataclass(frozen=True)
class PreTrained:
    """What a pre-training read and left; kept as a measurement that a results page can show."""

    texts: dict[str, str]
    """File name → md5."""
    pairs: int
    """Of passages that follow each other in the text."""
    pairs_met: int
    """Different ones that training came to."""
    tokens_per_step: float
    """Of document and query together, on average."""
    parameters: int
    steps: int
    seconds: float | None
    """Of the training itself; unknown where it resumed."""
    final_loss: float
    machine: str

    def save(self, path: Path) -> None:
        """Write all of it, with a row for a table."""
        row = {
            "parameters": self.parameters,
            "pairs met": self.pairs_met,
            "tokens per step": round(self.tokens_per_step),
            "steps": self.steps,
            "final loss": self.final_loss,
        }
        if self.seconds is not None:
            row["seconds"] = round(self.seconds)
            row["tokens per second"] = round(self.tokens_per_step * self.steps / self.seconds)
        sources = ", ".join(f"{name} (md5 {md5})" for name, md5 in self.texts.items())
        found = asdict(self) | {
            "title": f"Pre-training of a backbone of {self.parameters / 1e6:.1f} M parameters",
            "note": f"On {self.pairs:,} pairs of passages that follow each other in {sources}. The "
            "loss is that of language modelling and the contrastive one together.",
            "rows": [row],
        }
        write_json(path, found)


def pretrain(
    files: Sequence[Path], settings: Settings, output: Path, checkpoints: Path
) -> PreTrained:
    """Train a backbone of `backbone.tiny`'s shape from scratch; `backbone.warmup` says how long.

    Args:
        files: plain text, or such compressed by xz.
        settings: runtime, backbone, prompt.
        output: becomes a model folder that `backbone.model` can name, with the loss curve and
            `pretraining.json`.
        checkpoints: where to resume from.

    Raises:
        DatasetError: a file is missing or no text, or all are too short.
    """
    config, runtime = settings.backbone, settings.runtime
    documents, queries = passages(files, runtime.seed)
    pairs, schedule = len(documents), config.warmup
    steps = schedule.steps(pairs)
    rng = np.random.default_rng([runtime.seed, 10])
    # What training does not come to is not tokenized either.
    met = rng.permutation(pairs)[: steps * schedule.queries_per_step].tolist()
    documents, queries = [documents[i] for i in met], [queries[i] for i in met]
    sample = range(min(len(met), _TOKENIZER_PAIRS))
    texts = (text for i in sample for text in (documents[i], queries[i]))
    backbone = tiny_backbone(config, settings.prompt, texts, runtime.seed)
    check_context(backbone)
    examples = _as_examples(documents, queries, backbone)
    fixed = schedule.model_copy(update={"min_steps": steps, "max_steps": steps})
    config = config.model_copy(update={"warmup": fixed})
    resumed = last_complete_checkpoint(checkpoints) is not None
    started = time.perf_counter()
    history = warm_up(backbone, examples, config, runtime, checkpoints)
    seconds = None if resumed else time.perf_counter() - started
    output.mkdir(parents=True, exist_ok=True)
    backbone.save(output)
    write_history(history, output)
    tokens = sum(map(len, examples.document_ids)) + sum(map(len, examples.query_ids))
    made = PreTrained(
        texts={path.name: file_md5(path) for path in files},
        pairs=pairs,
        pairs_met=len(met),
        tokens_per_step=schedule.queries_per_step * tokens / len(met),
        parameters=sum(p.numel() for p in backbone.model.parameters()),
        steps=int(history[-1]["step"]),
        seconds=seconds,
        final_loss=history[-1]["loss"],
        machine=computer(backbone.device.type),
    )
    made.save(output / RECORD)
    return made


def passages(files: Sequence[Path], seed: int) -> tuple[list[str], list[str]]:
    """(documents, queries): passages of random length, the i-th query after the i-th document.

    Raises:
        DatasetError: a file is missing or no text, or there are fewer than two pairs.
    """
    documents: list[str] = []
    queries: list[str] = []
    for number, path in enumerate(files):
        words = list(_words(path))
        rng = np.random.default_rng([seed, 11, number])
        start = 0
        while start < len(words):
            middle = start + int(rng.integers(*_DOCUMENT_WORDS, endpoint=True))
            end = middle + int(rng.integers(*_QUERY_WORDS, endpoint=True))
            if end > len(words):
                break
            documents.append(" ".join(words[start:middle]))
            queries.append(" ".join(words[middle:end]))
            start = end
    if len(documents) < 2:
        names = ", ".join(str(path) for path in files) or "no files"
        raise DatasetError(f"too little text to train on ({names}): give files of running text")
    return documents, queries


def _words(path: Path) -> Iterator[str]:
    opener: Any = lzma.open if path.suffix == ".xz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as file:
            for line in file:
                yield from line.split()
    except FileNotFoundError:
        raise DatasetError(f"no text file {path}") from None
    except (UnicodeDecodeError, lzma.LZMAError, IsADirectoryError) as error:
        raise DatasetError(
            f"{path} is not readable as text ({error}): give UTF-8 text, or such compressed by xz"
        ) from None


def _as_examples(documents: list[str], queries: list[str], backbone: Backbone) -> Examples:
    prompt = backbone.prompt
    pool = [Document(str(i), text) for i, text in enumerate(documents)]
    return Examples(
        queries,
        pool,
        prompt.queries(queries),
        prompt.documents(pool),
        [frozenset((i,)) for i in range(len(pool))],
        prompt.template_ids,
    )
