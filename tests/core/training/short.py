"""A small data set, and schedules of a second."""

from rabtriever_core.config import (
    ScheduleConfig,
    StudentConfig,
    TeacherConfig,
)
from rabtriever_core.training.examples import Examples
from tests.core.small import small_dataset

DATASET = small_dataset()
SHORT = ScheduleConfig(
    min_steps=40, max_steps=40, queries_per_step=6, checkpoint_steps=10, learning_rate=3e-3
)
TEACHER = TeacherConfig(schedule=SHORT, documents_per_query=6, mining_depth=4)
STUDENT = StudentConfig(schedule=SHORT, refresh_steps=15, rollout_queries=20, documents_per_query=4)


def examples_of(backbone) -> Examples:
    """The training queries and corpus of `DATASET`."""
    return Examples.of(DATASET, "train", backbone.prompt)
