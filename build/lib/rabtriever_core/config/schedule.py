"""Settings of a training schedule."""

from typing import Literal

from pydantic import Field, model_validator

from rabtriever_core.config.component import Component, Shown


class ScheduleConfig(Component):
    """How long and how fast a model trains; the steps follow from the size of the data.

    steps = clamp(epochs × training queries / queries_per_step, min_steps, max_steps)
    """

    epochs: Shown[float] = Field(2.0, gt=0)
    """Passes over the training queries."""
    min_steps: int = Field(1, ge=1)
    """Fewest steps, for small data sets."""
    max_steps: Shown[int] = Field(2000, ge=1)
    """Most steps, so that the time is bounded."""
    queries_per_step: int = Field(16, ge=1)
    """Queries per optimizer step."""
    learning_rate: Shown[float] = Field(1e-3, gt=0)
    """Peak learning rate; linear warm-up, cosine decay."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """`muon` makes the updates of the blocks' weight matrices orthogonal, at the same learning
    rate; a small model trained from scratch then needs fewer steps."""
    warmup_share: float = Field(0.05, ge=0, le=1)
    """Share of the steps over which the learning rate rises."""
    weight_decay: float = Field(0.01, ge=0)
    """Weight decay of AdamW."""
    token_dropout: float = Field(0.0, ge=0, lt=1)
    """Share of a text's tokens that are left out at random, so that a small model does not memorize
    whole sentences; use 0 for pretrained backbones."""
    checkpoint_steps: int = Field(50, ge=10, multiple_of=10)
    """Steps between checkpoints, which a killed run resumes from. The loss is logged every 10
    steps, hence the multiple of 10."""
    evaluate_steps: int | None = Field(None, ge=10, multiple_of=10)
    """Steps between measurements on dev, for models that can stop early; the best checkpoint is
    then kept. checkpoint_steps must be a multiple of it. Null never measures."""
    patience: int = Field(3, ge=1)
    """How many measurements without a new best end the training."""

    @model_validator(mode="after")
    def _bounds_ordered(self) -> "ScheduleConfig":
        if self.min_steps > self.max_steps:
            raise ValueError(f"min_steps {self.min_steps} is above max_steps {self.max_steps}")
        if self.evaluate_steps and self.checkpoint_steps % self.evaluate_steps:
            raise ValueError(
                f"checkpoint_steps {self.checkpoint_steps} must be a multiple of evaluate_steps "
                f"{self.evaluate_steps}: every checkpoint is one that was measured"
            )
        return self

    def steps(self, queries: int) -> int:
        """Optimizer steps for this many training queries."""
        wanted = round(self.epochs * queries / self.queries_per_step)
        return max(self.min_steps, min(wanted, self.max_steps))
