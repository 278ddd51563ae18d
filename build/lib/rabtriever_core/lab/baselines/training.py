"""Train further systems in a finished workspace, each on the teacher's budget.

They start where the teacher starts (`teacher.start`) and train on `teacher.schedule`: on the same
queries in as many steps, each query with as many documents (`teacher.documents_per_query`). Not
wall time: seconds depend on the machine, and what the clock stops can be neither repeated nor
resumed.
"""

import time
from functools import partial
from pathlib import Path
from typing import Any

from rabtriever_core.lab.baselines.distilled_bi_encoder import train_distilled_bi_encoder
from rabtriever_core.lab.baselines.fine_tuning import Plan
from rabtriever_core.lab.baselines.linear_reranker import LinearReranker, train_linear_reranker
from rabtriever_core.lab.baselines.systems import MADE_FROM, TRAINED, Chosen
from rabtriever_core.models.backbone import Backbone
from rabtriever_core.models.known_models import model_folder
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.stages.context import StageContext
from rabtriever_core.stages.dev import Score, trained
from rabtriever_core.stages.identity import stage_config
from rabtriever_core.stages.run import load_inputs
from rabtriever_core.training.bi_encoder import BiEncoder
from rabtriever_core.training.budget import Budget
from rabtriever_core.training.examples import Examples
from rabtriever_core.training.history import History
from rabtriever_core.training.losses import forward_kl_listwise, margin_mse
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import Artifact, build_artifact
from rabtriever_core.workspace.identity import Identity

FOLDER = "baselines"
"""Among the workspace's artifacts: a folder per system."""


def train_baselines(workspace: Workspace, chosen: Chosen) -> dict[str, Artifact]:
    """Train the chosen systems; one that is up to date is kept, killed training resumes.

    Returns:
        Every system that trains → its artifact, with loss, budget and dev metrics.

    Raises:
        ArtifactError: data, start or teacher are missing or damaged.
        ModelError: MiniLM is chosen and not fetched; said before anything trains.
    """
    if "minilm" in chosen.systems:
        model_folder("minilm")
    inputs = load_inputs(workspace, MADE_FROM)
    names = [name for name in TRAINED if name in chosen.systems]
    return {name: _build(workspace, inputs, name, chosen) for name in names}


def _build(
    workspace: Workspace, inputs: dict[str, Artifact], name: str, chosen: Chosen
) -> Artifact:
    config = stage_config(workspace.settings, MADE_FROM)
    config["learning_rate"] = chosen.learning_rates.get(name)
    if name == "kl_bi_encoder":
        config["distillation_temperature"] = chosen.temperature

    def make(output: Path, checkpoints: Path) -> dict[str, Any]:
        return train_baseline(StageContext(workspace, inputs, output, checkpoints), name, chosen)

    started = time.perf_counter()
    artifact = build_artifact(
        workspace.artifact(FOLDER) / name,
        work=workspace.work / FOLDER,
        identity=Identity(
            stage=name,
            version=MADE_FROM.version,
            config=config,
            parents={parent: artifact.hash for parent, artifact in inputs.items()},
            dataset=inputs["validated_dataset"].meta.dataset,
        ),
        make=make,
    )
    if not artifact.reused:
        workspace.record_seconds(name, time.perf_counter() - started)
    return artifact


def train_baseline(context: StageContext, name: str, chosen: Chosen) -> dict[str, Any]:
    """Train one system into the context's output; returns its loss, budget and dev metrics."""
    settings = context.settings
    rate = chosen.learning_rates.get(name, settings.teacher.schedule.learning_rate)
    schedule = settings.teacher.schedule.model_copy(update={"learning_rate": rate})
    plan = Plan(
        settings.teacher.model_copy(update={"schedule": schedule}),
        settings.runtime,
        None if settings.backbone.model == "tiny" else settings.backbone.lora,
        context.checkpoints,
    )
    # The weights that the teacher starts from: a head start for it alone would prove nothing.
    backbone = Backbone.load(context.inputs[settings.teacher.start].folder, settings.runtime)
    examples = Examples.of(context.dataset(), settings.dataset.train_split, backbone.prompt)
    candidates = plan.teacher.documents_per_query

    def finish(history: History, score: Score, documents_per_query: int) -> dict[str, Any]:
        budget = Budget.of(history, (schedule.queries_per_step, documents_per_query))
        return trained(context, history, score, budget, backbone)

    if name == "linear_reranker":
        reranker = LinearReranker.fresh(backbone, settings.runtime.seed)
        history = train_linear_reranker(reranker, examples, plan)
        reranker.save(context.output)
        return finish(
            history,
            partial(reranker.margins, progress=True),
            min(candidates, len(examples.documents)),
        )
    kl = partial(forward_kl_listwise, temperature=chosen.temperature)
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
