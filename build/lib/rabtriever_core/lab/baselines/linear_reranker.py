"""Baseline: a cross-encoder with a linear head on the last token (RankLLaMA, arXiv 2310.08319).

Same prompt and so same document cache as the teacher; in place of the T − F logit stands a fresh
linear head, trained with a list-wise softmax over the teacher's candidates.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from rabtriever_core.config import RuntimeConfig
from rabtriever_core.lab.baselines.fine_tuning import Plan, fine_tune
from rabtriever_core.models.backbone import Backbone
from rabtriever_core.models.base_reranker import Reranker
from rabtriever_core.training.examples import Examples
from rabtriever_core.training.history import History
from rabtriever_core.training.losses import listwise
from rabtriever_core.training.negatives import Miner
from rabtriever_core.training.pairs import draw_pairs

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
    backbone, config, seed = reranker.backbone, plan.teacher, plan.runtime.seed
    miner = Miner(reranker, examples, config, plan.checkpoints, seed)

    def loss_at(step: int) -> dict[str, torch.Tensor]:
        pairs = draw_pairs(examples, miner.at(step), config, seed, step)
        scores, *_ = pairs.read(reranker)
        used = pairs.used().to(scores.device)
        relevant = pairs.relevant().to(scores.device)
        return {"listwise": listwise(scores.masked_fill(~used, float("-inf")), relevant)}

    return fine_tune(backbone, loss_at, examples, plan, "linear reranker", reranker.head)
