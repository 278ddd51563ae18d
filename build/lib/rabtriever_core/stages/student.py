"""Stage: the student's predictor, distilled from the frozen teacher."""

from typing import Any

from rabtriever_core.stages.context import StageContext
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import Artifact, load_artifact

SERVED = "served_student"
"""Artifact that a warm start begins with: the served release's student."""


def make(context: StageContext) -> dict[str, Any]:
    """Distil; returns the loss and dev metrics over the full pool."""
    from rabtriever_core.models.predictor import Predictor, make_predictor
    from rabtriever_core.models.reranker import GenerativeReranker
    from rabtriever_core.models.saved_encoder import load_encoder_of_teacher
    from rabtriever_core.models.student import Student
    from rabtriever_core.stages.dev import trained
    from rabtriever_core.training.budget import Budget
    from rabtriever_core.training.distill import distill
    from rabtriever_core.training.examples import Examples

    settings = context.settings
    teacher = GenerativeReranker.load(context.inputs["teacher"].folder, settings.runtime)
    config = settings.student
    start = None
    if config.start == "served":
        start = Predictor.load(context.inputs[SERVED].folder)
    runtime, encoder = settings.runtime, teacher.encoder
    other = None if encoder is teacher.backbone else teacher.backbone.dimension
    predictor = make_predictor(encoder.dimension, config, runtime.seed, other)
    student = Student(encoder, predictor, direction=teacher.direction())
    if config.query_encoder != "frozen":
        copy = load_encoder_of_teacher(context.inputs["teacher"].folder, runtime)
        if config.query_encoder == "lora":
            lora = settings.backbone.lora
            assert lora is not None  # noqa: S101  the settings' own check
            student.adapt_queries(copy, lora, runtime.seed)
        else:
            student.query_encoder = copy
    examples = Examples.of(context.dataset(), settings.dataset.train_split, teacher.backbone.prompt)
    history = distill(
        teacher,
        student,
        examples,
        config,
        settings.runtime,
        context.checkpoints,
        start,
    )
    student.save(context.output)
    documents = min(config.documents_per_query, len(examples.relevant_documents))
    return trained(
        context,
        history,
        lambda q, d: student.encode_queries(q) @ student.encode_documents(d).T,
        Budget.of(history, (config.schedule.queries_per_step, documents)),
        student.encoder,
    )


def further_inputs(workspace: Workspace) -> dict[str, Artifact]:
    """The student that a warm start begins with: its hash is among the parents.

    Raises:
        ArtifactError: it is missing, or of another teacher.
    """
    if workspace.settings.student.start == "fresh":
        return {}
    teacher = load_artifact(workspace.artifact("teacher")).hash
    return {SERVED: load_artifact(workspace.artifact(SERVED), parents={"teacher": teacher})}
