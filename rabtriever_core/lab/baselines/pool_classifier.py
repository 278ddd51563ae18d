"""Baseline: a generative classifier that reads the whole pool and answers with a label.

The prompt lists all documents, each behind a label that is one token of the vocabulary, then the
query; a document's score is the logit of its label as the next token. (The other way to choose from
a list, a pointer at the documents' own states, is no generation.) The order is fixed, so that it
is a closed-set classifier: it must be trained again for another pool. Only for pools that fit the
backbone's context.
"""

from collections.abc import Sequence
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase
from typing import Any

import numpy as np
import torch

from rabtriever_core.config import RuntimeConfig
from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import ConfigError
from rabtriever_core.lab.baselines.fine_tuning import Plan, fine_tune
from rabtriever_core.models.arrays import Floats, to_device
from rabtriever_core.models.backbone import Backbone
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.models.templates import ANSWER_TOKEN
from rabtriever_core.training.examples import Examples
from rabtriever_core.training.history import History
from rabtriever_core.training.losses import listwise
from rabtriever_core.training.steps import start_step

_OUT = "take pool_classifier out of baselines.systems"


class PoolClassifier:
    """P(document | query) = softmax over the labels' logits after `documents + query`.

    The pool is the same for every query: its keys and values are computed once per batch.

    Raises:
        ConfigError: the pool does not fit the context, or there are too few labels for it.
    """

    def __init__(self, backbone: Backbone, documents: Sequence[Document], question: str) -> None:
        prompt = backbone.prompt
        spec, tokenizer = prompt.spec, prompt.tokenizer
        compact = spec.answer_suffix == tuple(_ids(tokenizer, ANSWER_TOKEN))
        self.backbone = backbone
        self.suffix = (
            list(spec.answer_suffix) if compact else _ids(tokenizer, f"\n{question}\nAnswer:")
        )
        self.labels = label_ids(tokenizer, len(documents))
        separator = [] if compact else _ids(tokenizer, ": ")
        self.pool_ids = list(spec.start)
        texts = len(spec.start) + len(spec.document_prefix)
        for label, row in zip(self.labels, prompt.documents(documents), strict=True):
            self.pool_ids += [*spec.document_prefix, label, *separator, *row[texts:]]
        tokens = (
            len(self.pool_ids) + len(spec.query_prefix) + spec.max_query_tokens + len(self.suffix)
        )
        limit = int(backbone.model.config.get_text_config().max_position_embeddings)
        if tokens > limit:
            raise ConfigError(
                f"pool_classifier reads all {len(documents)} documents and a query at once, which "
                f"takes {tokens} tokens; the backbone reads at most {limit}: {_OUT}, or use a "
                "backbone with a longer context"
            )

    @classmethod
    def load(
        cls, folder: Path, documents: Sequence[Document], question: str, runtime: RuntimeConfig
    ) -> "PoolClassifier":
        """Open a pool_classifier artifact; the documents are those it was trained on, in order."""
        return cls(Backbone.load(folder, runtime), documents, question)

    def logits(self, query_ids: Sequence[list[int]]) -> torch.Tensor:
        """Logit of every label [n, m] for query sides as the prompt makes them; differentiable."""
        cut = len(self.backbone.prompt.spec.answer_suffix)
        rows = [[*row[:-cut], *self.suffix] for row in query_ids]
        states, _ = GenerativeReranker(self.backbone).pair_states(
            [self.pool_ids], rows, [0] * len(rows), range(len(rows))
        )
        head = self.backbone.model.get_output_embeddings().weight[self.labels]
        logits: torch.Tensor = states @ head.float().T
        return logits

    def scores(self, queries: Sequence[str], batch_size: int = 32) -> Floats:
        """Logit of every document's label: float32 [n, m]."""
        query_ids = self.backbone.prompt.queries(queries)
        batch_size *= self.backbone.batch_multiple
        scores = np.zeros((len(query_ids), len(self.labels)), dtype=np.float32)
        with torch.inference_mode():
            for start in range(0, len(query_ids), batch_size):
                batch = query_ids[start : start + batch_size]
                scores[start : start + batch_size] = self.logits(batch).cpu().numpy()
        return scores


def train_pool_classifier(classifier: PoolClassifier, examples: Examples, plan: Plan) -> History:
    """Train the backbone (in place) to answer with the label of a relevant document."""
    schedule = plan.teacher.schedule
    # A document that no training query is judged for is no negative: see `supervised`.
    judged = examples.relevant_documents.tolist()

    def loss_at(step: int) -> dict[str, torch.Tensor]:
        rng, queries = start_step("teacher", examples, schedule, plan.runtime.seed, step)
        logits = classifier.logits(examples.thinned_queries(queries, schedule.token_dropout, rng))[
            :, judged
        ]
        relevant = to_device(examples.relevance(queries, judged), logits.device)
        return {"label": listwise(logits, relevant)}

    return fine_tune(classifier.backbone, loss_at, examples, plan, "pool classifier")


def label_ids(tokenizer: Any, count: int) -> list[int]:
    """That many different tokens to name documents by: letters, numbers, pairs of letters.

    Raises:
        ConfigError: the vocabulary has fewer.
    """
    words = [
        *ascii_uppercase,
        *ascii_lowercase,
        *map(str, range(1000)),
        *(first + second for first in ascii_uppercase for second in ascii_uppercase),
    ]
    vocabulary = tokenizer.get_vocab()
    found: dict[int, None] = {}
    for word in words:
        # Byte-level and SentencePiece vocabularies mark a leading space, as after "Answer:".
        forms = [form for form in (f"Ġ{word}", f"▁{word}", word) if form in vocabulary]
        if forms:
            found.setdefault(vocabulary[forms[0]])
    if len(found) < count:
        raise ConfigError(
            f"pool_classifier needs a label of one token for each of {count} documents, this "
            f"backbone's vocabulary has {len(found)}: {_OUT}"
        )
    return list(found)[:count]


def _ids(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids
