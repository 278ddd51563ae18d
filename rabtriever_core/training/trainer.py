"""`transformers.Trainer` fitted to numbered steps (imported only when something trains)."""

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset, SequentialSampler
from tqdm import tqdm
from transformers import Trainer, TrainerCallback

from rabtriever_core.errors import ConfigError, ModelError
from rabtriever_core.training.checkpoints import seal
from rabtriever_core.training.losses import LossAtStep
from rabtriever_core.training.optimizer import muon_for

logger = logging.getLogger(__name__)

QUALITY = "eval_quality"
"""What quality on dev is called among Trainer's metrics."""


class StepDataset(Dataset[int]):
    """The numbers of the steps: batches are made inside the step, from the model as it is then."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> int:
        return step


class StepTrainer(Trainer):  # type: ignore[misc]
    """Trainer whose loss is a function of the step number, logged part by part."""

    def __init__(
        self,
        loss_at: LossAtStep,
        quality: Callable[[], float] | None,
        *,
        muon: bool,
        **arguments: Any,
    ) -> None:
        # Trainer wants a data set to evaluate on, though quality is measured without one.
        arguments["eval_dataset"] = StepDataset(1)
        super().__init__(data_collator=lambda rows: {"step": rows[0]}, **arguments)
        self.loss_at = loss_at
        self.quality = quality
        self.muon = muon
        self.parts: list[dict[str, torch.Tensor]] = []
        """Of the steps since the last log."""

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Trainer's own, unless the schedule asks for Muon."""
        if self.muon:
            rate, decay = self.args.learning_rate, self.args.weight_decay
            self.optimizer = muon_for(self.model if model is None else model, rate, decay)
        optimizer: torch.optim.Optimizer = super().create_optimizer(model)
        return optimizer

    def _get_train_sampler(self, *_: Any, **__: Any) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, **_: Any
    ) -> torch.Tensor:
        """Sum of the step's loss parts; what they are is looked at when they are logged."""
        parts = self.loss_at(int(inputs["step"]))
        self.parts.append({name: value.detach() for name, value in parts.items()})
        return torch.stack(list(parts.values())).sum()

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Quality on dev, for early stopping."""
        assert self.quality is not None  # noqa: S101  asked for only where there is one
        self.model.eval()
        metrics = {QUALITY: self.quality()}
        self.model.train()
        logger.info("step %d: MRR@10 %.4f on dev", self.state.global_step, metrics[QUALITY])
        self.log(metrics)
        control: Any = self.control  # type: ignore[has-type]
        self.control = self.callback_handler.on_evaluate(self.args, self.state, control, metrics)
        return metrics

    def log(self, logs: dict[str, float], *arguments: Any, **keywords: Any) -> None:
        """Add the mean of every loss part since the last log.

        A GPU is waited for here alone, and not at every step. A log comes before a checkpoint, so
        that none is written of a model whose loss was not finite.

        Raises:
            ModelError: a loss was not finite.
        """
        if "loss" in logs:
            steps = [{name: float(value) for name, value in row.items()} for row in self.parts]
            self._check_finite(steps)
            names = dict.fromkeys(name for row in steps for name in row)
            logs |= {f"loss_{n}": sum(row.get(n, 0.0) for row in steps) / len(steps) for n in names}
            self.parts = []
        super().log(logs, *arguments, **keywords)

    def _check_finite(self, steps: list[dict[str, float]]) -> None:
        first = self.state.global_step - len(steps)
        for step, row in enumerate(steps, first):
            if not all(map(math.isfinite, row.values())):
                raise ModelError(
                    f"the loss is not finite at step {step} ({row}): lower this stage's "
                    "schedule.learning_rate"
                )


class LastStepCallback(TrainerCallback):  # type: ignore[misc]
    """Logs the last step whatever its number: the loss curve says how many steps were done."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Ask for a log at the end of the schedule; an early stop falls on a logged step."""
        control.should_log |= state.global_step >= state.max_steps


class SealCallback(TrainerCallback):  # type: ignore[misc]
    """Writes beside a checkpoint what is in it, when all of it is there."""

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Seal the checkpoint of this step."""
        seal(Path(args.output_dir) / f"checkpoint-{state.global_step}")


def tensorboard(label: str) -> TrainerCallback:
    """The callback of transformers, with a folder of its own for every training.

    Raises:
        ConfigError: TensorBoard is not installed.
    """
    from transformers.integrations import TensorBoardCallback

    try:
        callback = TensorBoardCallback()
    except RuntimeError as error:
        raise ConfigError(f"runtime.report_to: {error} `pip install tensorboard`") from error
    callback.logging_dir = str(Path(callback.logging_dir or "runs") / label)
    return callback


class BarCallback(TrainerCallback):  # type: ignore[misc]
    """A quiet progress bar: one line, the loss beside it."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.bar: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Open the bar, at the resumed step where there is one."""
        self.bar = tqdm(
            total=state.max_steps,
            initial=state.global_step,
            desc=self.label,
            unit="step",
            mininterval=2.0,
        )

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Advance."""
        self.bar.update(1)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Show the loss."""
        if logs and "loss" in logs:
            self.bar.set_postfix(loss=f"{float(logs['loss']):.3f}", refresh=False)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Close the bar."""
        self.bar.close()
