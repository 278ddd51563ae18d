"""Baseline: a cross-encoder with a linear head on the last token (RankLLaMA, arXiv 2310.08319).

Same prompt and so same document cache as the teacher; in place of the T − F logit stands a fresh
linear head, trained with a list-wise softmax over the teacher's candidates.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from rabtriever_core.baselines.fine_tuning import Plan, fine_tune
from rabtriever_core.config import RuntimeConfig
from rabtriever_core.models.backbone import Backbone
from rabtriever_core.models.reranker import Reranker
from rabtriever_core.training.examples import Examples
from rabtriever_core.training.loop import History
from rabtriever_core.training.losses import listwise
from rabtriever_core.training.sft import candidates, mined_negatives
from rabtriever_core.training.steps import start_step

HEAD_FILE = "head.safetensors"


class LinearReranker(Reranker):
    """Scores pairs by ⟨v, answer-position state⟩ with a head v of its own."""

    def __init__(self, backbone: Backbone, head: torch.nn.Linear) -> None:
        super().__init__(backbone)
        self.head = head.to(backbone.device)

    @classmethod
    def fresh(cls, backbone: Backbone, seed: int) -> "LinearReranker":
        """With a random head, deterministic in the seed."""
        torch.manual_seed(seed)
        head = torch.nn.Linear(backbone.dimension, 1, bias=False)
        torch.nn.init.normal_(head.weight, std=0.02)
        return cls(backbone, head)

    def direction(self) -> torch.Tensor:
        """The head: shape [d]."""
        return self.head.weight[0]

    def save(self, folder: Path) -> None:
        """Write backbone and head."""
        self.backbone.save(folder)
        save_file({"weight": self.head.weight.detach().cpu().contiguous()}, folder / HEAD_FILE)

    @classmethod
    def load(cls, folder: Path, runtime: RuntimeConfig) -> "LinearReranker":
        """Read what `save` wrote."""
        backbone = Backbone.load(folder, runtime)
        head = torch.nn.Linear(backbone.dimension, 1, bias=False)
        head.load_state_dict(load_file(folder / HEAD_FILE))
        return cls(backbone, head)


def train_linear_reranker(reranker: LinearReranker, examples: Examples, plan: Plan) -> History:
    """Train backbone and head (in place) on the teacher's queries and candidates."""
    backbone, config = reranker.backbone, plan.teacher
    schedule = config.schedule
    mined = mined_negatives(backbone, examples, config)

    def loss_at(step: int) -> dict[str, torch.Tensor]:
        rng, queries = start_step("teacher", examples, schedule, plan.runtime.seed, step)
        drawn = candidates(examples, queries, mined, config, rng)
        n, k = drawn.shape
        distinct, of_document = np.unique(drawn, return_inverse=True)
        query_ids = examples.thinned_queries(queries, schedule.token_dropout, rng)
        states, _ = reranker.pair_states(
            examples.thinned_documents(distinct, schedule.token_dropout, rng),
            query_ids,
            of_document.ravel().tolist(),
            np.repeat(np.arange(n), k).tolist(),
        )
        scores = (states @ reranker.direction()).view(n, k)
        relevant = np.array(
            [
                [d in examples.relevant[q] for d in row]
                for q, row in zip(queries, drawn, strict=True)
            ]
        )
        # A document that no training query is judged for is no negative: see `supervised`.
        judged = torch.from_numpy(np.isin(drawn, examples.judged)).to(scores.device)
        loss = listwise(
            scores.masked_fill(~judged, float("-inf")),
            torch.from_numpy(relevant).to(scores.device),
        )
        return {"listwise": loss}

    return fine_tune(backbone, loss_at, examples, plan, "linear reranker", reranker.head)
