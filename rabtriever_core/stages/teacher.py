"""Stage: the generative reranker, fine-tuned on its answer token."""

from typing import Any

from rabtriever_core.stages.run import StageContext


def make(context: StageContext) -> dict[str, Any]:
    """Train the teacher; returns its loss and dev metrics over the full pool."""
    from rabtriever_core.models.backbone import Backbone
    from rabtriever_core.models.reranker import GenerativeReranker
    from rabtriever_core.stages.dev import trained
    from rabtriever_core.training.examples import Examples
    from rabtriever_core.training.sft import fine_tune_teacher

    settings = context.settings
    backbone = Backbone.load(context.inputs["backbone"].folder, settings.runtime)
    config = settings.teacher
    examples = Examples.of(context.dataset(), settings.dataset.train_split, backbone.prompt)
    history = fine_tune_teacher(
        backbone,
        examples,
        config,
        settings.runtime,
        context.checkpoints,
        None if settings.backbone.model == "tiny" else settings.backbone.lora,
    )
    backbone.save(context.output)
    teacher = GenerativeReranker(backbone)
    return trained(
        context,
        history,
        lambda q, d: teacher.margins(q, d, progress=True),
        steps=config.schedule.steps(len(examples.queries)),
        queries_per_step=config.schedule.queries_per_step,
        documents_per_query=min(config.documents_per_query, len(examples.documents)),
    )
