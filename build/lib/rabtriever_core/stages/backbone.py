"""Stage: the causal language model under teacher, student and bi-encoder."""

from typing import Any

from rabtriever_core.models.model_source import model_source
from rabtriever_core.stages.context import StageContext
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.content_hash import ContentHashes


def make(context: StageContext) -> dict[str, Any]:
    """Fetch the backbone, or make and warm up the tiny one; returns its figures.

    Raises:
        ModelError: it cannot be had, or does not fit the prompt.
    """
    from rabtriever_core.models.backbone import pretrained_backbone, tiny_backbone
    from rabtriever_core.models.context import check_context
    from rabtriever_core.models.precision import precision_of
    from rabtriever_core.models.suitability import check_suitable
    from rabtriever_core.training.examples import Examples
    from rabtriever_core.training.history import write_history
    from rabtriever_core.training.warmup import warm_up

    settings = context.settings
    config, runtime = settings.backbone, settings.runtime
    metrics: dict[str, Any] = {}
    if config.model == "tiny":
        dataset = context.dataset()
        split = settings.dataset.train_split
        texts = [d.full_text for d in dataset.documents]
        texts += [dataset.queries[q] for q in dataset.split_queries(split)]
        backbone = tiny_backbone(config, settings.prompt, texts, runtime.seed)
        check_context(backbone)
        examples = Examples.of(dataset, split, backbone.prompt)
        history = warm_up(backbone, examples, config, runtime, context.checkpoints)
        write_history(history, context.output)
        metrics["final_loss"] = history[-1]["loss"]
        metrics["precision"] = precision_of(
            backbone.model.dtype, backbone.device, mixed=backbone.mixed_precision
        )
    else:
        backbone = pretrained_backbone(config, settings.prompt, runtime, context.workspace.root)
        check_suitable(backbone, f"backbone.model = {config.model!r}", config.lora)
    backbone.save(context.output)
    return metrics | {
        "parameters": sum(p.numel() for p in backbone.model.parameters()),
        "dimension": backbone.dimension,
        "vocabulary": len(backbone.prompt.tokenizer),
    }


def read_outside(workspace: Workspace) -> dict[str, str]:
    """Hash of the pretrained model that is read: other weights under the same name are another one.

    Raises:
        ModelError: there is no such model.
    """
    source = model_source(workspace.settings.backbone.model, workspace.root)
    content = source.content_hash(ContentHashes(workspace.work))
    return {} if content is None else {"backbone.model": content}
