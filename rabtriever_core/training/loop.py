"""The one training loop: `transformers.Trainer` over numbered steps.

A step's batch is a pure function of (seed, step number), so that a run resumed from a checkpoint
continues exactly as if it had never stopped.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rabtriever_core.config import RuntimeConfig, ScheduleConfig
from rabtriever_core.training.checkpoints import last_complete_checkpoint
from rabtriever_core.training.history import History

if TYPE_CHECKING:
    import torch

    from rabtriever_core.training.losses import LossAtStep

logger = logging.getLogger(__name__)

LOG_STEPS = 10


def train(
    model: "torch.nn.Module",
    loss_at: "LossAtStep",
    *,
    steps: int,
    schedule: ScheduleConfig,
    runtime: RuntimeConfig,
    checkpoints: Path,
    label: str,
    quality: Callable[[], float] | None = None,
) -> History:
    """Minimize the loss over numbered steps, with a progress bar, checkpoints and a loss curve.

    Where `schedule.evaluate_steps` is set, quality is measured on the way; training stops when it
    no longer rises, and the best checkpoint is what remains.

    Args:
        model: what is trained (in place).
        loss_at: parts of the loss at a step; called with the model in training mode.
        steps: how many optimizer steps.
        schedule: learning rate and checkpoint interval.
        runtime: seed, device, precision.
        checkpoints: where to save; training resumes from the last complete checkpoint here.
        label: names the progress bar.
        quality: measured on dev, higher is better.

    Returns:
        One row per LOG_STEPS, and one for the last step: step, loss, its parts, learning rate.
    """
    import torch
    from transformers import (
        EarlyStoppingCallback,
        PrinterCallback,
        ProgressCallback,
        TrainingArguments,
    )
    from transformers.utils import logging as transformers_logging

    from rabtriever_core.training.trainer import (
        QUALITY,
        BarCallback,
        LastStepCallback,
        SealCallback,
        StepDataset,
        StepTrainer,
        tensorboard,
    )

    # One bar for the training is enough: none for every checkpoint written.
    transformers_logging.disable_progress_bar()
    last = last_complete_checkpoint(checkpoints)
    if last is not None:
        logger.info("%s resumes from %s", label, last.name)
    stopping: dict[str, Any] = {}
    callbacks: list[Any] = [BarCallback(label), LastStepCallback(), SealCallback()]
    if "tensorboard" in runtime.report_to:
        callbacks.append(tensorboard(label))
    if schedule.evaluate_steps and quality is not None:
        stopping = {
            "eval_strategy": "steps",
            "eval_steps": schedule.evaluate_steps,
            "metric_for_best_model": QUALITY,
            "greater_is_better": True,
            "load_best_model_at_end": True,
        }
        callbacks.append(EarlyStoppingCallback(schedule.patience))
    trainer = StepTrainer(
        loss_at=loss_at,
        quality=quality,
        muon=schedule.optimizer == "muon",
        model=model,
        args=TrainingArguments(
            output_dir=str(checkpoints),
            max_steps=steps,
            per_device_train_batch_size=1,
            learning_rate=schedule.learning_rate,
            weight_decay=schedule.weight_decay,
            warmup_steps=max(1, round(schedule.warmup_share * steps)),
            lr_scheduler_type="cosine",
            logging_steps=LOG_STEPS,
            # It would wait for a GPU at every step; losses that are not finite stop the run.
            logging_nan_inf_filter=False,
            save_steps=schedule.checkpoint_steps,
            save_total_limit=2,
            seed=runtime.seed,
            use_cpu=runtime.device == "cpu",
            bf16=runtime.precision == "bfloat16",
            report_to=[name for name in runtime.report_to if name != "tensorboard"],
            run_name=label,
            disable_tqdm=True,
            dataloader_num_workers=0,
            dataloader_pin_memory=False,
            remove_unused_columns=False,
            **stopping,
        ),
        train_dataset=StepDataset(steps),
        callbacks=callbacks,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    # Several threads would otherwise add up some gradients in whatever order they arrive, and the
    # same command would not give the same weights. An accelerator needs more than this for it.
    torch.use_deterministic_algorithms(runtime.device == "cpu" or not torch.cuda.is_available())
    try:
        trainer.train(resume_from_checkpoint=str(last) if last else None)
    finally:
        torch.use_deterministic_algorithms(False)
        if "wandb" in runtime.report_to:
            import wandb

            wandb.finish()  # the next training is another run
    model.eval()
    names = ("step", "loss", "learning_rate")
    # Sorted: the rows that come back from a checkpoint have their columns in another order.
    return [
        {n: row[n] for n in (*names, *sorted(n for n in row if n.startswith("loss_")))}
        for row in trainer.state.log_history
        if "loss" in row
    ]
