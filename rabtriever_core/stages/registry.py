"""The table of stages, in the order they run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from rabtriever_core.errors import ConfigError

if TYPE_CHECKING:
    from rabtriever_core.config import Settings


@dataclass(frozen=True)
class Stage:
    """One step of the pipeline: a pure function of (settings, input artifacts).

    Settings may choose what it reads. An artifact then has what was read as its parents, and is
    kept when another changes. dvc.yaml is written for the settings in params.yaml. Dagster's edges
    are fixed when the definitions load, before anybody may edit the setting: there a stage follows
    all it may read, so that the order of a run is right in any case. The UI may call it stale for a
    change of one it does not read; a run then finds it up to date, and its data version stays, so
    that nothing after it is stale.
    """

    name: str
    version: int
    """Raise it by hand when a change of the code changes the result (see `code_versions`)."""
    summary: str
    inputs: tuple[str, ...]
    """Stages whose artifacts it reads, or may read."""
    sections: tuple[str, ...]
    """Settings that shape its result: sections of params.yaml, or single ones by dotted name."""
    only_if: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    """Input → (setting, value) pairs, one of which must hold for it to be read."""

    def used_inputs(self, value_of: Callable[[str], Any]) -> tuple[str, ...]:
        """Stages whose artifacts it reads.

        Args:
            value_of: dotted name → value of a setting.
        """
        return tuple(
            name
            for name in self.inputs
            if name not in self.only_if
            or any(value_of(setting) == value for setting, value in self.only_if[name])
        )

    def inputs_with(self, settings: "Settings") -> tuple[str, ...]:
        """Stages whose artifacts it reads with these settings."""
        return self.used_inputs(lambda name: attrgetter(name)(settings))

    @property
    def out(self) -> str:
        """Its artifact, relative to the workspace."""
        return "reports" if self.name == "benchmark_report" else f"artifacts/{self.name}"


TEACHER_READS = {
    "backbone": (("teacher.start", "backbone"),),
    "bi_encoder": (("teacher.start", "bi_encoder"), ("teacher.encoder", "bi_encoder")),
}

STAGES: tuple[Stage, ...] = (
    Stage(
        "validated_dataset",
        1,
        "Check the raw data with Great Expectations; quarantine broken rows.",
        (),
        ("dataset", "validation"),
    ),
    Stage(
        "backbone",
        1,
        "Fetch the causal language model, or train the tiny one from scratch.",
        ("validated_dataset",),
        ("dataset", "backbone", "prompt", "runtime"),
    ),
    Stage(
        "bi_encoder",
        1,
        "Train the bi-encoder (InfoNCE): the baseline, and what may encode for the student.",
        ("validated_dataset", "backbone"),
        ("dataset", "bi_encoder", "prompt", "runtime"),
        only_if={"backbone": (("bi_encoder.encoder", "backbone"),)},
    ),
    Stage(
        "teacher",
        1,
        "Fine-tune the generative reranker (answer token only).",
        ("validated_dataset", "backbone", "bi_encoder"),
        (
            "dataset",
            "teacher",
            "backbone.model",
            "backbone.lora",
            "backbone.freeze_embeddings",
            "runtime",
        ),
        only_if=TEACHER_READS,
    ),
    Stage(
        "student",
        1,
        "Distil the teacher on-policy into a predictor: query and document apart.",
        ("validated_dataset", "teacher"),
        ("dataset", "student", "backbone.lora", "runtime"),
    ),
    Stage(
        "document_embeddings",
        1,
        "Read every document once with the teacher; only new texts after a change.",
        ("validated_dataset", "teacher"),
        ("dataset", "runtime"),
    ),
    Stage(
        "calibration",
        3,
        "Fit on dev what a margin means: probability, and when nothing fits.",
        ("validated_dataset", "teacher", "student", "document_embeddings"),
        ("dataset", "calibration", "runtime"),
    ),
    Stage(
        "qdrant_collection",
        2,
        "Upload to a new Qdrant collection and verify it; a release serves it.",
        ("validated_dataset", "teacher", "student", "document_embeddings"),
        ("dataset", "index", "runtime"),
    ),
    Stage(
        "benchmark_report",
        3,
        "Compare BM25, bi-encoder, teacher and student on the same queries.",
        (
            "validated_dataset",
            "bi_encoder",
            "teacher",
            "student",
            "document_embeddings",
            "calibration",
            "qdrant_collection",
        ),
        (
            "dataset",
            "benchmark",
            "calibration",
            "index",
            "runtime",
            # What two-stage answers are made with; other settings of the service change nothing.
            "serving.rerank_depth",
            "serving.rerank_below",
        ),
    ),
)


def stage_named(name: str) -> Stage:
    """Find a stage.

    Raises:
        ConfigError: there is none of that name.
    """
    for stage in STAGES:
        if stage.name == name:
            return stage
    raise ConfigError(f"no stage {name!r}; the stages are {', '.join(s.name for s in STAGES)}")
