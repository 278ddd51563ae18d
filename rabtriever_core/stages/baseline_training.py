"""How each system of `baselines.systems` is made and trained from the stage's inputs."""

from functools import partial
from typing import Any

from rabtriever_core.config import TrainedBaseline
from rabtriever_core.lab.baselines.distilled_bi_encoder import train_distilled_bi_encoder
from rabtriever_core.lab.baselines.fine_tuning import Plan
from rabtriever_core.lab.baselines.linear_reranker import LinearReranker, train_linear_reranker
from rabtriever_core.lab.baselines.minilm import weights_folder
from rabtriever_core.lab.baselines.pool_classifier import PoolClassifier, train_pool_classifier
from rabtriever_core.models.backbone import Backbone
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.stages.dev import Score, trained
from rabtriever_core.stages.run import StageContext
from rabtriever_core.training.bi_encoder import BiEncoder
from rabtriever_core.training.budget import Budget
from rabtriever_core.training.examples import Examples
from rabtriever_core.training.history import History
from rabtriever_core.training.losses import forward_kl_listwise, margin_mse


def check_baselines(context: StageContext) -> None:
    """Say what cannot be had before hours go into the rest.

    Raises:
        ConfigError: MiniLM's weights are not installed, or the pool is too long to classify.
    """
    named = context.settings.baselines.systems
    if "minilm" in named:
        weights_folder()
    if "pool_classifier" in named:
        _pool_classifier(context, _backbone(context))


def train_baseline(context: StageContext, name: TrainedBaseline) -> dict[str, Any]:
    """Train one system into the context's output; returns its loss, budget and dev metrics."""
    settings = context.settings
    rate = settings.baselines.learning_rates.get(name, settings.teacher.schedule.learning_rate)
    schedule = settings.teacher.schedule.model_copy(update={"learning_rate": rate})
    plan = Plan(
        settings.teacher.model_copy(update={"schedule": schedule}),
        settings.runtime,
        None if settings.backbone.model == "tiny" else settings.backbone.lora,
        context.checkpoints,
    )
    backbone = _backbone(context)
    examples = Examples.of(context.dataset(), settings.dataset.train_split, backbone.prompt)
    candidates = plan.teacher.documents_per_query

    def finish(history: History, score: Score, documents_per_query: int) -> dict[str, Any]:
        budget = Budget.of(history, (schedule.queries_per_step, documents_per_query))
        return trained(context, history, score, budget)

    if name == "linear_reranker":
        reranker = LinearReranker.fresh(backbone, settings.runtime.seed)
        history = train_linear_reranker(reranker, examples, plan)
        reranker.save(context.output)
        return finish(
            history,
            partial(reranker.margins, progress=True),
            min(candidates, len(examples.documents)),
        )
    if name == "pool_classifier":
        classifier = _pool_classifier(context, backbone)
        history = train_pool_classifier(classifier, examples, plan)
        backbone.save(context.output)
        return finish(
            history,
            lambda queries, _: classifier.scores(queries),
            len(examples.documents),
        )
    kl = partial(forward_kl_listwise, temperature=settings.baselines.distillation_temperature)
    history = train_distilled_bi_encoder(
        backbone,
        GenerativeReranker.load(context.inputs["teacher"].folder, settings.runtime),
        examples,
        kl if name == "kl_bi_encoder" else margin_mse,
        settings.bi_encoder.temperature,
        plan,
        name.replace("_", " "),
    )
    backbone.save(context.output)
    return finish(
        history, BiEncoder(backbone).scores, min(candidates, len(examples.relevant_documents))
    )


def _backbone(context: StageContext) -> Backbone:
    """The weights that the teacher starts from: a head start for it alone would prove nothing."""
    settings = context.settings
    return Backbone.load(context.inputs[settings.teacher.start].folder, settings.runtime)


def _pool_classifier(context: StageContext, backbone: Backbone) -> PoolClassifier:
    question = context.settings.baselines.pool_question
    return PoolClassifier(backbone, context.dataset().documents, question)
