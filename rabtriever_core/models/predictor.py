"""The only trainable part of the student: predicts the teacher's state from query and document."""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

PREDICTOR_FILE = "predictor.safetensors"


class Predictor(nn.Module):
    """e_stu = MLP_θ(e_Q) ⊙ e_D, MLP of two layers with ReLU (Rabtriever, arXiv 2604.23336).

    With a bias-free head w the margin is ⟨w, e_stu⟩ = ⟨w ⊙ MLP_θ(e_Q), e_D⟩: one dot product, and
    the document's vector e_D does not depend on θ. Beyond the paper, a linear path past the MLP
    (`skip`) helps on queries unlike those trained on.
    """

    def __init__(self, dimension: int, hidden: int, *, skip: bool) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(dimension, hidden), nn.ReLU(), nn.Linear(hidden, dimension)
        )
        self.skip = nn.Linear(dimension, dimension, bias=False) if skip else None

    def forward(self, e_q: Tensor) -> Tensor:
        """The query's gate on the document: [n, d] → [n, d]."""
        gate: Tensor = self.mlp(e_q)
        return gate if self.skip is None else gate + self.skip(e_q)

    def start_from_cosine(self, direction: Tensor, scale: float) -> None:
        """Set the weights so that ⟨w ⊙ gate(e_Q), e_D⟩ ≈ scale · ⟨e_Q, e_D⟩.

        The teacher keeps e_Q and e_D aligned, so that this already ranks well, on unseen queries
        too; training then bends it to the teacher's margins. The ridge spares dimensions in which
        w is nearly zero: there the gate would have to be huge.

        Args:
            direction: w = w_T − w_F [d].
            scale: margin per unit of ⟨e_Q, e_D⟩.

        Raises:
            ValueError: the predictor has no linear path.
        """
        if self.skip is None:
            raise ValueError("only a predictor with skip=True can start from the cosine")
        ridge = direction.square().mean() / 10
        with torch.no_grad():
            self.skip.weight.copy_(torch.diag(scale * direction / (direction.square() + ridge)))
            for parameter in self.mlp[2].parameters():
                parameter.zero_()

    def save(self, folder: Path) -> None:
        """Write the weights."""
        state = {
            name: tensor.detach().cpu().contiguous() for name, tensor in self.state_dict().items()
        }
        save_file(state, folder / PREDICTOR_FILE)

    @classmethod
    def load(cls, folder: Path) -> "Predictor":
        """Read what `save` wrote; the shape follows from the weights."""
        state = load_file(folder / PREDICTOR_FILE)
        hidden, dimension = state["mlp.0.weight"].shape
        predictor = cls(dimension, hidden, skip="skip.weight" in state)
        predictor.load_state_dict(state)
        return predictor.eval()


def make_predictor(
    dimension: int, hidden_multiple: int, seed: int, *, skip: bool = True
) -> Predictor:
    """A fresh predictor, deterministic in the seed."""
    torch.manual_seed(seed)
    return Predictor(dimension, hidden_multiple * dimension, skip=skip)
