"""A small backbone, its examples and a short plan for the trained baselines."""

from pathlib import Path

from rabtriever_core.config import LoraConfig, ScheduleConfig, TeacherConfig
from rabtriever_core.data.dataset import Document
from rabtriever_core.lab.baselines.fine_tuning import Plan
from rabtriever_core.models.backbone import Backbone
from rabtriever_core.training.examples import Examples
from tests.core.small import RUNTIME, small_backbone, small_dataset

SMALL = small_dataset()
# A thirteenth document that no query is judged for.
UNJUDGED = Document("unjudged", "Suggest nothing at all with a calm voice.")
DATASET = type(SMALL)("small", (*SMALL.documents, UNJUDGED), SMALL.queries, SMALL.qrels)
TEACHER = TeacherConfig(
    schedule=ScheduleConfig(
        min_steps=30, max_steps=30, queries_per_step=6, checkpoint_steps=10, learning_rate=3e-3
    ),
    documents_per_query=5,
    mining_depth=4,
)


def fresh(seed: int = 3) -> tuple[Backbone, Examples]:
    """An untrained backbone and the training split."""
    backbone = small_backbone(DATASET, seed)
    return backbone, Examples.of(DATASET, "train", backbone.prompt)


def plan(checkpoints: Path, *, lora: LoraConfig | None = None) -> Plan:
    """Thirty steps of six queries with five documents each."""
    return Plan(TEACHER, RUNTIME, lora, checkpoints)
