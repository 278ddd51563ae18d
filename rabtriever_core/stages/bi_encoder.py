"""Stage: the baseline bi-encoder on the same backbone and data."""

from typing import Any

from rabtriever_core.stages.context import StageContext


def make(context: StageContext) -> dict[str, Any]:
    """Train the bi-encoder; returns its loss and dev metrics over the full pool."""
    from rabtriever_core.models.backbone import Backbone
    from rabtriever_core.stages.dev import dev_metrics, trained
    from rabtriever_core.training.bi_encoder import BiEncoder, train_bi_encoder
    from rabtriever_core.training.budget import Budget
    from rabtriever_core.training.examples import Examples

    settings = context.settings
    backbone = Backbone.load(context.inputs["backbone"].folder, settings.runtime)
    config = settings.bi_encoder
    examples = Examples.of(context.dataset(), settings.dataset.train_split, backbone.prompt)
    model = BiEncoder(backbone)

    def quality() -> float:
        return float(dev_metrics(context.dataset(), settings, model.scores)["MRR@10"])

    history = train_bi_encoder(
        backbone, examples, config, settings.runtime, context.checkpoints, quality
    )
    backbone.save(context.output)
    return trained(
        context,
        history,
        model.scores,
        Budget.of(history, (config.schedule.queries_per_step, config.documents_per_query)),
    )
