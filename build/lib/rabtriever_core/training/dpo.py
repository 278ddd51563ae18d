"""Direct preference optimization of the teacher's answer (RaHoRe's DPO, arXiv 2412.16615)."""

import copy
from pathlib import Path

import torch

from rabtriever_core.config import LoraConfig, RuntimeConfig, TeacherConfig
from rabtriever_core.models.backbone import Backbone
from rabtriever_core.models.lora import merge_adapters, with_adapters, without_adapters
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.training.examples import Examples
from rabtriever_core.training.history import History
from rabtriever_core.training.loop import train
from rabtriever_core.training.losses import dpo_answer
from rabtriever_core.training.negatives import Miner
from rabtriever_core.training.pairs import draw_pairs


def prefer_right_answers(
    reranker: GenerativeReranker,
    examples: Examples,
    config: TeacherConfig,
    runtime: RuntimeConfig,
    checkpoints: Path,
    lora: LoraConfig | None,
) -> History:
    """Prefer T over F for relevant pairs, and F over T for the others, by DPO (in place).

    The frozen reference is the reranker as it is given. With adapters it is the same model with
    its adapters switched off; without, the model is copied.

    Args:
        reranker: becomes the teacher.
        examples: training queries and corpus.
        config: how to train; `config.dpo` takes the place of `config.schedule`.
        runtime: seed, device, precision.
        checkpoints: where to resume from.
        lora: adapters to train instead of all weights; merged at the end.
    """
    # Mined once, by the reference.
    changed = {"schedule": config.dpo.schedule, "mining_refresh_steps": None}
    config = config.model_copy(update=changed)
    steps = config.schedule.steps(len(examples.queries))
    backbone = reranker.backbone
    if lora is None:
        trained: torch.nn.Module = backbone.model
        frozen = Backbone(copy.deepcopy(backbone.model), backbone.prompt)
        reference = GenerativeReranker(frozen)
    else:
        trained = with_adapters(backbone, lora, runtime.seed)
    miner = Miner(reranker, examples, config, checkpoints, runtime.seed)

    def loss_at(step: int) -> dict[str, torch.Tensor]:
        pairs = draw_pairs(examples, miner.at(step), config, runtime.seed, step)
        with torch.no_grad():
            if lora is None:
                before, *_ = pairs.read(reference)
            else:
                with without_adapters(trained):
                    before, *_ = pairs.read(reranker)
        margins, *_ = pairs.read(reranker)
        used = pairs.used().to(margins.device)
        relevant = pairs.relevant().to(margins.device)
        return {"dpo": dpo_answer(margins[used], before[used], relevant[used], config.dpo.beta)}

    history = train(
        trained,
        loss_at,
        steps=steps,
        schedule=config.schedule,
        runtime=runtime,
        checkpoints=checkpoints,
        label="teacher, DPO",
    )
    if lora is not None:
        merge_adapters(backbone, trained)
    return history
