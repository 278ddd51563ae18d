"""The table of stages, in the order they run."""

from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

from rabtriever_core.errors import ConfigError

if TYPE_CHECKING:
    from rabtriever_core.config import Settings


@dataclass(frozen=True)
class Stage:
    """One step of the pipeline: a pure function of (settings, input artifacts).

    A setting may choose one of several inputs. An artifact then has that one as its parent, and is
    kept when another changes. DVC says the same: its dependency is `artifacts/${setting}`, which
    it reads from params.yaml itself. Dagster's edges are fixed when the definitions load, before
    anybody may edit the setting: there a stage follows all it may read, so that the order of a run
    is right in any case. The UI may call it stale for a change of one it does not read; a run then
    finds it up to date, and its data version stays, so that nothing after it is stale.
    """

    name: str
    version: int
    """Raise it by hand when a change of the code changes the result (see `code_versions`)."""
    summary: str
    inputs: tuple[str, ...]
    """Stages whose artifacts it reads, or may read."""
    sections: tuple[str, ...]
    """Settings that shape its result: sections of params.yaml, or single ones by dotted name."""
    choices: tuple[str, ...] = ()
    """Of these inputs it reads one alone."""
    chosen_by: str = ""
    """The setting that names that one."""

    def used_inputs(self, settings: "Settings") -> tuple[str, ...]:
        """Stages whose artifacts it reads with these settings."""
        chosen = attrgetter(self.chosen_by)(settings) if self.chosen_by else None
        return tuple(name for name in self.inputs if name not in self.choices or name == chosen)

    @property
    def out(self) -> str:
        """Its artifact, relative to the workspace."""
        return "reports" if self.name == "benchmark_report" else f"artifacts/{self.name}"


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
        "Train the baseline bi-encoder (InfoNCE) on the same backbone and data.",
        ("validated_dataset", "backbone"),
        ("dataset", "bi_encoder", "runtime"),
    ),
    Stage(
        "teacher",
        1,
        "Fine-tune the generative reranker (answer token only).",
        ("validated_dataset", "backbone", "bi_encoder"),
        ("dataset", "teacher", "backbone.model", "backbone.lora", "runtime"),
        choices=("backbone", "bi_encoder"),
        chosen_by="teacher.start",
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
        1,
        "Fit on dev what a margin means: probability, and when nothing fits.",
        ("validated_dataset", "teacher", "student", "document_embeddings"),
        ("dataset", "calibration", "runtime"),
    ),
    Stage(
        "qdrant_collection",
        1,
        "Upload to a new Qdrant collection and verify it; a release serves it.",
        ("validated_dataset", "teacher", "student", "document_embeddings"),
        ("dataset", "index", "runtime"),
    ),
    Stage(
        "benchmark_report",
        1,
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
