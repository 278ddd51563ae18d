"""From margins to the probability that users see, and to the answer "nothing here fits"."""

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rabtriever_core.errors import ArtifactError
from rabtriever_core.workspace.atomic import write_text

if TYPE_CHECKING:
    import numpy.typing as npt

    from rabtriever_core.models.arrays import Reals

FILE = "calibration.json"


def sigmoid(logits: "npt.ArrayLike") -> "Reals":
    """σ(logit), for logits of any size and shape; float64."""
    import numpy as np

    logits = np.asarray(logits, dtype=np.float64)
    small = np.exp(-np.abs(logits))  # never too large
    probabilities: Reals = np.where(logits >= 0, 1, small) / (1 + small)
    return probabilities


class Scale(BaseModel):
    """Slope and bias of one model's margins."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    slope: float = Field(ge=0)
    bias: float


class Calibration(BaseModel):
    """P(right | margin) = σ(slope · margin + bias), and the least probability of an answer.

    It ranks as the margin does: the slope is never negative. A slope of 0 says that on dev margins
    told nothing, and every document gets the base rate.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    slope: float = Field(ge=0)
    bias: float
    threshold: float | None = Field(ge=0, le=1)
    """A query is answered when its best document reaches this; None when no threshold reached
    `precision` on dev."""
    precision: float = Field(gt=0, lt=1)
    """Share of right answers that the threshold was fitted for."""
    unanswerable_share: float = Field(ge=0, lt=1)
    """Share of queries without a right document that the threshold was fitted for."""
    teacher: Scale | None = None
    """The same fit of the teacher's margins; releases made before version 0.2 have none."""

    def logits(self, margins: "npt.ArrayLike") -> "Reals":
        """Slope · margin + bias; any shape."""
        import numpy as np

        logits: Reals = self.slope * np.asarray(margins, dtype=np.float64) + self.bias
        return logits

    def probabilities(self, margins: "npt.ArrayLike") -> "Reals":
        """σ(slope · margin + bias); any shape."""
        return sigmoid(self.logits(margins))

    def teacher_logits(self, margins: "npt.ArrayLike") -> "Reals":
        """Of the teacher's margins, any shape; the margins themselves where nothing was fitted."""
        import numpy as np

        scale = self.teacher or Scale(slope=1.0, bias=0.0)
        logits: Reals = scale.slope * np.asarray(margins, dtype=np.float64) + scale.bias
        return logits

    def teacher_probabilities(self, margins: "npt.ArrayLike") -> "Reals":
        """P(right | the teacher's margin), any shape; σ(margin) where that was not fitted."""
        return sigmoid(self.teacher_logits(margins))

    def save(self, folder: Path) -> None:
        """Write `calibration.json`."""
        write_text(folder / FILE, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "Calibration":
        """Read what `save` wrote.

        Raises:
            ArtifactError: it is missing, or a value is out of range.
        """
        path = folder / FILE
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValidationError) as error:
            raise ArtifactError(
                f"{path} cannot be used ({error}): run `rabtriever run calibration --force`"
            ) from None
