"""Which systems there are beside those of the report, and how they may be made."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rabtriever_core.errors import ConfigError
from rabtriever_core.stages.registry import TEACHER_READS, Stage

TRAINED = ("margin_mse_bi_encoder", "kl_bi_encoder", "linear_reranker")
BASELINES = (*TRAINED, "minilm")

MADE_FROM = Stage(
    "baselines",
    1,
    "Train further systems to compare with.",
    ("validated_dataset", "backbone", "bi_encoder", "teacher"),
    ("dataset", "teacher", "bi_encoder.temperature", "backbone.lora", "runtime"),
    only_if=TEACHER_READS,
)
"""What every trained system reads, as a stage that is none of the pipeline's."""


@dataclass(frozen=True)
class Chosen:
    """The systems to train and measure, and what may differ from the teacher's training.

    Raises:
        ConfigError: a system is unknown or named twice, or a number is not above zero.
    """

    systems: tuple[str, ...] = TRAINED
    learning_rates: Mapping[str, float] = field(default_factory=dict)
    """Peak learning rates that differ from `teacher.schedule.learning_rate`."""
    temperature: float = 1.0
    """Divides the scores of both sides before kl_bi_encoder's softmax."""

    def __post_init__(self) -> None:
        for name in self.systems:
            if name not in BASELINES:
                raise ConfigError(f"--system {name}: expected one of {', '.join(BASELINES)}")
            if self.systems.count(name) > 1:
                raise ConfigError(f"--system {name}: named more than once")
        for trained, rate in self.learning_rates.items():
            if trained not in TRAINED or not rate > 0:
                raise ConfigError(
                    f"--learning-rate {trained}={rate}: expected a number above zero for one of "
                    f"{', '.join(TRAINED)}"
                )
        if not self.temperature > 0:
            raise ConfigError(f"--temperature {self.temperature}: expected a number above zero")
