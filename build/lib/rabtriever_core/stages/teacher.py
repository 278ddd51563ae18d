"""Stage: the generative reranker, trained on its answer token, or taken as it is."""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from rabtriever_core.data.dataset import Document
from rabtriever_core.stages.context import StageContext

if TYPE_CHECKING:
    from rabtriever_core.models.arrays import Floats
    from rabtriever_core.models.reranker import GenerativeReranker


def make(context: StageContext) -> dict[str, Any]:
    """Train the teacher; returns its losses and dev metrics."""
    from rabtriever_core.models.backbone import Backbone
    from rabtriever_core.models.reranker import GenerativeReranker
    from rabtriever_core.models.saved_encoder import load_text_encoder
    from rabtriever_core.stages.dev import dev_metrics, trained
    from rabtriever_core.training.budget import Budget
    from rabtriever_core.training.dpo import prefer_right_answers
    from rabtriever_core.training.examples import Examples
    from rabtriever_core.training.history import History
    from rabtriever_core.training.sft import fine_tune_teacher
    from rabtriever_core.training.stacking import CANDIDATES

    settings = context.settings
    config, runtime = settings.teacher, settings.runtime
    tiny = settings.backbone.model == "tiny"
    backbone = Backbone.load(context.inputs[config.start].folder, runtime)
    examples = Examples.of(context.dataset(), settings.dataset.train_split, backbone.prompt)
    lora = None if tiny else settings.backbone.lora
    if not tiny and settings.backbone.freeze_embeddings:
        backbone.freeze_embeddings()
    encoder = None
    if config.encoder == "bi_encoder":
        encoder = load_text_encoder(context.inputs["bi_encoder"].folder, runtime)
    teacher = GenerativeReranker(backbone, config.cosine_scale, encoder)
    read: dict[str, dict[str, float]] = {}

    def score(queries: Sequence[str], documents: Sequence[Document]) -> "Floats":
        if encoder is None or not config.cosine_scale:
            return teacher.margins(queries, documents, progress=True)
        return teacher.margins_of_nearest(queries, documents, CANDIDATES, read)

    def quality() -> float:
        dev = dev_metrics(context.dataset(), settings, score)
        return float(dev["MRR@10"])

    sft, dpo = (context.checkpoints / part for part in ("sft", "dpo"))
    pool = len(examples.documents)
    documents = min(config.documents_per_query, pool)
    history: History = []
    budget: Budget | None = None
    if config.method in ("sft", "sft+dpo"):
        history = fine_tune_teacher(teacher, examples, config, runtime, sft, lora, quality)
        drawn = [(config.schedule.queries_per_step, documents)]
        if config.contrastive_weight:
            # Each with a right document, and a mined one where documents are mined.
            mined = config.mined_share > 0 and pool > config.documents_per_query
            drawn.append((config.contrastive_queries, 1 + mined))
        budget = Budget.of(history, *drawn)
    if config.method in ("dpo", "sft+dpo"):
        later = prefer_right_answers(teacher, examples, config, runtime, dpo, lora)
        phase = Budget.of(later, (config.dpo.schedule.queries_per_step, documents))
        done = history[-1]["step"] if history else 0.0
        history = [*history, *({**row, "step": row["step"] + done} for row in later)]
        budget = phase if budget is None else budget + phase
    fitted = {} if budget is None else _weigh(context, teacher, read)
    teacher.save(context.output)
    return trained(context, history, score, budget, teacher.backbone) | fitted


def _weigh(
    context: StageContext, teacher: "GenerativeReranker", read: dict[str, dict[str, float]]
) -> dict[str, Any]:
    """What start, cosine and reading count for in a trained teacher (in place); what dev chose.

    `read` takes the margins of what had to be read for that.
    """
    from rabtriever_core.models.backbone import Backbone
    from rabtriever_core.stages.dev import dev_queries
    from rabtriever_core.training.averaging import AveragedWithStart
    from rabtriever_core.training.examples import Examples
    from rabtriever_core.training.stacking import choose_start_share, weigh_cosine_and_reading

    config, runtime = context.settings.teacher, context.settings.runtime

    @cache
    def held_out() -> Examples:
        dataset, split = context.dataset(), context.settings.dataset.dev_split
        chosen = set(dev_queries(dataset, context.settings))
        numbers = [i for i, query in enumerate(dataset.split_queries(split)) if query in chosen]
        return Examples.of(dataset, split, teacher.backbone.prompt).only(np.array(numbers))

    found: dict[str, Any] = {}
    if config.start_share:
        start = Backbone.load(context.inputs[config.start].folder, runtime)
        averaged = AveragedWithStart(teacher.backbone.model, start.model)
        if isinstance(config.start_share, float):
            averaged.move(config.start_share)
        else:
            best, losses = choose_start_share(teacher, averaged, config.start_share, held_out())
            found["start_share"] = best
            found["start_share_losses"] = {f"{share:g}": loss for share, loss in losses.items()}
    if config.cosine_scale:
        weighed = weigh_cosine_and_reading(teacher, held_out())
        found["weights"] = {"cosine": weighed.cosine, "reading": weighed.reading}
        read.update(weighed.margins)
    return found
