"""Stage: the bi-encoder, on the backbone or on a pretrained encoder of its own."""

from typing import Any

from rabtriever_core.models.model_source import encoder_source
from rabtriever_core.stages.context import StageContext
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.content_hash import ContentHashes


def make(context: StageContext) -> dict[str, Any]:
    """Train the bi-encoder; returns its loss and dev metrics over the full pool."""
    from rabtriever_core.models.pretrained_encoder import pretrained_encoder
    from rabtriever_core.models.saved_encoder import load_text_encoder
    from rabtriever_core.models.text_encoder import TextEncoder
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
        source = encoder_source(config.encoder, context.workspace.root)
        encoder = pretrained_encoder(source, settings.prompt, settings.runtime, config.layers)
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
        encoder,
    )


def read_outside(workspace: Workspace) -> dict[str, str]:
    """Hash of the pretrained encoder that is read.

    Raises:
        ModelError: there is no such model.
    """
    named = workspace.settings.bi_encoder.encoder
    if named == "backbone":
        return {}
    content = encoder_source(named, workspace.root).content_hash(ContentHashes(workspace.work))
    return {} if content is None else {"bi_encoder.encoder": content}
