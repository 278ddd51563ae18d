"""Stage: the bi-encoder, on the backbone or on a pretrained encoder of its own."""

from typing import Any

from rabtriever_core.stages.context import StageContext


def make(context: StageContext) -> dict[str, Any]:
    """Train the bi-encoder; returns its loss and dev metrics over the full pool."""
    from rabtriever_core.models.text_encoder import TextEncoder, load_text_encoder
    from rabtriever_core.stages.dev import dev_metrics, trained
    from rabtriever_core.training.bi_encoder import BiEncoder, train_bi_encoder
    from rabtriever_core.training.budget import Budget
    from rabtriever_core.training.examples import Examples

    settings = context.settings
    config = settings.bi_encoder
    encoder: TextEncoder
    if config.encoder == "backbone":
        encoder = load_text_encoder(context.inputs["backbone"].folder, settings.runtime)
    else:
        encoder = pretrained_encoder(
            str(model_source(context.workspace, config.encoder)),
            settings.prompt,
            settings.runtime,
            f"bi_encoder.encoder = {config.encoder!r}",
        )
    examples = Examples.of(context.dataset(), settings.dataset.train_split, encoder.prompt)
    model = BiEncoder(encoder)

    def quality() -> float:
        return float(dev_metrics(context.dataset(), settings, model.scores)["MRR@10"])

    history = train_bi_encoder(
        encoder, examples, config, settings.runtime, context.checkpoints, quality
    )
    encoder.save(context.output)
    return trained(
        context,
        history,
        model.scores,
        Budget.of(history, (config.schedule.queries_per_step, config.documents_per_query)),
    )
