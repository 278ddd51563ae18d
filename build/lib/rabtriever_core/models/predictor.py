"""The trainable part of the student: predicts the teacher's state from e_Q and e_D."""

import json
from abc import ABC, abstractmethod
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from rabtriever_core.config import StudentConfig
from rabtriever_core.errors import ArtifactError, ModelError

PREDICTOR_FILE = "predictor.safetensors"


class Predictor(nn.Module, ABC):
    """e_stu(q, d), multiplicative with one map per side, so that the margin is one dot product.

    ⟨w, e_stu(q, d)⟩ = ⟨query_vectors(e_Q), document_vectors(e_D)⟩ + query_offsets(e_Q)
    for the bias-free head's direction w = w_T − w_F. The offset shifts all documents of a query
    alike: rankings need no part of it.

    It sits after the final norm, and there is no setting to put it lower: norm(U(h_Q) ⊙ V(h_D)) of
    states below the norm divides by a length that depends on query and document together, and what
    blocks above it make of the product is not linear at all. The margin would be no dot product,
    and no vector index would return the model's ranking.
    """

    kind: ClassVar[str]
    embeds_documents: ClassVar[bool]
    """Whether stored document vectors depend on its weights, and change when it is trained."""

    def __init__(self, **shape: Any) -> None:
        super().__init__()
        self.shape = shape

    @property
    @abstractmethod
    def vector_size(self) -> int:
        """Length v of the vectors."""

    @abstractmethod
    def states(self, e_q: Tensor, e_d: Tensor) -> Tensor:
        """e_stu of every query [n, d] with its own documents [n, k, d]: [n, k, d]."""

    @abstractmethod
    def query_vectors(self, e_q: Tensor, direction: Tensor) -> Tensor:
        """What the index is asked with: [n, d] → [n, v]."""

    @abstractmethod
    def document_vectors(self, e_d: Tensor, direction: Tensor) -> Tensor:
        """What the index stores: [m, d] → [m, v]."""

    def query_offsets(self, e_q: Tensor, direction: Tensor) -> Tensor:
        """The part of the margin that is the same for all documents: [n, d] → [n]."""
        return torch.zeros(len(e_q), device=e_q.device)

    def start_from_cosine(self, direction: Tensor, scale: float) -> None:
        """Set the weights so that the margin starts near scale · ⟨e_Q, e_D⟩.

        The teacher keeps e_Q and e_D aligned, so that this already ranks well, on unseen queries
        too; training then bends it to the teacher's margins.

        Args:
            direction: w = w_T − w_F [d].
            scale: margin per unit of ⟨e_Q, e_D⟩.

        Raises:
            ModelError: this predictor, or this shape of it, cannot.
        """
        raise ModelError(f"a {self.kind} predictor cannot start from the cosine: set student.skip")

    def save(self, folder: Path) -> None:
        """Write the weights, with kind and shape beside them."""
        state = {name: t.detach().cpu().contiguous() for name, t in self.state_dict().items()}
        # One entry: safetensors writes several in an order that varies, and so would the hash.
        described = json.dumps({"kind": self.kind, "shape": self.shape}, sort_keys=True)
        save_file(state, folder / PREDICTOR_FILE, metadata={"predictor": described})

    @staticmethod
    def load(folder: Path) -> "Predictor":
        """Read what `save` wrote.

        Raises:
            ArtifactError: kind and shape are missing, or are not those of the weights.
        """
        path = folder / PREDICTOR_FILE
        try:
            with safe_open(path, framework="pt") as file:
                described = json.loads((file.metadata() or {})["predictor"])
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            predictor = _KINDS[described["kind"]](**described["shape"])
            predictor.load_state_dict(state)
        except (FileNotFoundError, KeyError, TypeError, RuntimeError) as error:
            raise ArtifactError(
                f"{path} holds no predictor that this version knows ({error!r:.200}); an earlier "
                "one may have made it: run `rabtriever run student --force` to materialize it again"
            ) from None
        return predictor.eval()


class Gate(nn.Module):
    """The query's map: an MLP with ReLU, and a linear path past it where wanted."""

    def __init__(self, width: int, hidden: int, layers: int, out: int, *, skip: bool) -> None:
        super().__init__()
        widths = [width, *[hidden] * (layers - 1), out]
        parts: list[nn.Module] = []
        for before, after in pairwise(widths):
            parts += [nn.Linear(before, after), nn.ReLU()]
        self.mlp = nn.Sequential(*parts[:-1])
        self.skip = nn.Linear(width, out, bias=False) if skip else None

    def forward(self, e_q: Tensor) -> Tensor:
        """[n, d] → [n, out]."""
        gate: Tensor = self.mlp(e_q)
        return gate if self.skip is None else gate + self.skip(e_q)

    def start_linear(self, weight: Tensor) -> None:
        """Make it the linear map [out, d]: the MLP's last layer starts at zero.

        Raises:
            ModelError: it has no linear path.
        """
        if self.skip is None:
            raise ModelError("a predictor starts from the cosine only with student.skip = true")
        with torch.no_grad():
            self.skip.weight.copy_(weight)
            for parameter in self.mlp[-1].parameters():
                parameter.zero_()


class GatedPredictor(Predictor):
    """e_stu = MLP_θ(e_Q) ⊙ e_D (Rabtriever, arXiv 2604.23336: two layers, no skip).

    The document's vector is e_D itself: a retrained predictor needs no re-embedding. Beyond the
    paper, a linear path past the MLP (`skip`) helps on queries unlike those trained on.
    """

    kind = "gated"
    embeds_documents = False

    def __init__(self, width: int, hidden: int, layers: int, *, skip: bool) -> None:
        super().__init__(width=width, hidden=hidden, layers=layers, skip=skip)
        self.gate = Gate(width, hidden, layers, width, skip=skip)

    @property
    def vector_size(self) -> int:
        """Length of the vectors."""
        return int(self.shape["width"])

    def states(self, e_q: Tensor, e_d: Tensor) -> Tensor:
        """MLP_θ(e_Q) ⊙ e_D."""
        return torch.mul(self.gate(e_q)[:, None, :], e_d)

    def query_vectors(self, e_q: Tensor, direction: Tensor) -> Tensor:
        """φ(q) = w ⊙ MLP_θ(e_Q)."""
        return torch.mul(self.gate(e_q), direction)

    def document_vectors(self, e_d: Tensor, direction: Tensor) -> Tensor:
        """e_D."""
        return e_d

    def start_from_cosine(self, direction: Tensor, scale: float) -> None:
        """Gate_i = scale · e_Q,i / w_i, the ridge apart."""
        self.gate.start_linear(torch.diag(_divisors(direction, scale)))


class ProjectedPredictor(Predictor):
    """e_stu = MLP_θ(e_Q) ⊙ V e_D, for an encoder with states of its own width (*ours*).

    The gate and V lead from the encoder's states into the teacher's. The margin is
    ⟨Vᵀ(w ⊙ MLP_θ(e_Q)), e_D⟩: V goes to the query's side, so the document's vector is e_D itself,
    as with the paper's predictor, and a retrained predictor needs no re-embedding.
    """

    kind = "projected"
    embeds_documents = False

    def __init__(self, width: int, out: int, hidden: int, layers: int, *, skip: bool) -> None:
        super().__init__(width=width, out=out, hidden=hidden, layers=layers, skip=skip)
        self.gate = Gate(width, hidden, layers, out, skip=skip)
        self.projection = nn.Linear(width, out, bias=False)

    @property
    def vector_size(self) -> int:
        """Length of the vectors."""
        return int(self.shape["width"])

    def states(self, e_q: Tensor, e_d: Tensor) -> Tensor:
        """MLP_θ(e_Q) ⊙ V e_D."""
        return torch.mul(self.gate(e_q)[:, None, :], self.projection(e_d))

    def query_vectors(self, e_q: Tensor, direction: Tensor) -> Tensor:
        """φ(q) = Vᵀ(w ⊙ MLP_θ(e_Q))."""
        vectors: Tensor = (self.gate(e_q) * direction) @ self.projection.weight
        return vectors

    def document_vectors(self, e_d: Tensor, direction: Tensor) -> Tensor:
        """e_D."""
        return e_d

    def start_from_cosine(self, direction: Tensor, scale: float) -> None:
        """V = R and gate_i = scale · (R e_Q)_i / w_i, for R with orthonormal columns.

        Where the teacher's states are narrower than the encoder's, R has orthonormal rows instead,
        which keep inner products up to noise.
        """
        width, out = int(self.shape["width"]), int(self.shape["out"])
        rotation = torch.linalg.qr(torch.randn(max(width, out), min(width, out)))[0]
        if out < width:
            rotation = rotation.T * (width / out) ** 0.5
        rotation = rotation.to(direction)
        self.gate.start_linear(_divisors(direction, scale)[:, None] * rotation)
        with torch.no_grad():
            self.projection.weight.copy_(rotation)


class WidePredictor(Predictor):
    """e_stu = C(U(e_Q) ⊙ V(e_D)) + A(e_Q) + B(e_D): one dot product of any width (*ours*).

    The margin is ⟨Cᵀw ⊙ U(e_Q), V(e_D)⟩ + ⟨w, B(e_D)⟩ + ⟨w, A(e_Q)⟩. The document's part
    ⟨w, B(e_D)⟩ is stored as one more dimension, which queries meet with a one.
    """

    kind = "wide"
    embeds_documents = True

    def __init__(self, width: int, hidden: int, layers: int, rank: int, *, skip: bool) -> None:
        super().__init__(width=width, hidden=hidden, layers=layers, rank=rank, skip=skip)
        self.query_map = Gate(width, hidden, layers, rank, skip=skip)
        self.document_map = nn.Linear(width, rank, bias=False)
        self.out = nn.Linear(rank, width, bias=False)
        self.query_bias = nn.Linear(width, width)
        self.document_bias = nn.Linear(width, width, bias=False)

    @property
    def vector_size(self) -> int:
        """Length of the vectors."""
        return int(self.shape["rank"]) + 1

    def states(self, e_q: Tensor, e_d: Tensor) -> Tensor:
        """C(U(e_Q) ⊙ V(e_D)) + A(e_Q) + B(e_D)."""
        product = self.query_map(e_q)[:, None, :] * self.document_map(e_d)
        states: Tensor = (
            self.out(product) + self.query_bias(e_q)[:, None, :] + self.document_bias(e_d)
        )
        return states

    def query_vectors(self, e_q: Tensor, direction: Tensor) -> Tensor:
        """[Cᵀw ⊙ U(e_Q), 1]."""
        scaled = self.query_map(e_q) * (direction @ self.out.weight)
        return torch.cat([scaled, torch.ones_like(scaled[:, :1])], dim=1)

    def document_vectors(self, e_d: Tensor, direction: Tensor) -> Tensor:
        """[V(e_D), ⟨w, B(e_D)⟩]."""
        bias = self.document_bias(e_d) @ direction
        return torch.cat([self.document_map(e_d), bias[:, None]], dim=1)

    def query_offsets(self, e_q: Tensor, direction: Tensor) -> Tensor:
        """⟨w, A(e_Q)⟩."""
        offsets: Tensor = self.query_bias(e_q) @ direction
        return offsets

    def start_from_cosine(self, direction: Tensor, scale: float) -> None:
        """V = R and C = Rᵀ for orthonormal rows R, U(e_Q)_i = scale · (R e_Q)_i / (R w)_i.

        R is the identity where the rank is the width or more; random rows keep inner products up
        to noise where it is less. Rows past the width keep small random V and C, and U = 0.
        """
        width, rank = int(self.shape["width"]), int(self.shape["rank"])
        rows = torch.eye(width)
        if rank < width:
            rows = torch.linalg.qr(torch.randn(width, rank))[0].T * (width / rank) ** 0.5
        rows = rows.to(direction)
        linear = torch.zeros(rank, width).to(direction)
        linear[: len(rows)] = _divisors(rows @ direction, scale)[:, None] * rows
        self.query_map.start_linear(linear)
        with torch.no_grad():
            for weight in (self.document_map.weight, self.out.weight.T):
                weight.normal_(std=0.02)
                weight[: len(rows)] = rows
            for part in (self.query_bias, self.document_bias):
                for parameter in part.parameters():
                    parameter.zero_()


class AdditivePredictor(Predictor):
    """e_stu = MLP_θ(e_Q) + e_D: the paper's ablation without ⊙, which ranks all queries alike."""

    kind = "additive"
    embeds_documents = True

    def __init__(self, width: int, hidden: int, layers: int) -> None:
        super().__init__(width=width, hidden=hidden, layers=layers)
        self.gate = Gate(width, hidden, layers, width, skip=False)

    @property
    def vector_size(self) -> int:
        """Length of the vectors."""
        return 1

    def states(self, e_q: Tensor, e_d: Tensor) -> Tensor:
        """MLP_θ(e_Q) + e_D."""
        return torch.add(self.gate(e_q)[:, None, :], e_d)

    def query_vectors(self, e_q: Tensor, direction: Tensor) -> Tensor:
        """[1]."""
        return torch.ones_like(e_q[:, :1])

    def document_vectors(self, e_d: Tensor, direction: Tensor) -> Tensor:
        """[⟨w, e_D⟩]."""
        return (e_d @ direction)[:, None]

    def query_offsets(self, e_q: Tensor, direction: Tensor) -> Tensor:
        """⟨w, MLP_θ(e_Q)⟩."""
        offsets: Tensor = self.gate(e_q) @ direction
        return offsets


_KINDS: dict[str, type[Predictor]] = {
    kind.kind: kind
    for kind in (GatedPredictor, ProjectedPredictor, WidePredictor, AdditivePredictor)
}


def make_predictor(
    width: int, config: StudentConfig, seed: int, out: int | None = None
) -> Predictor:
    """A fresh predictor of the configured kind, deterministic in the seed.

    Args:
        width: length of the encoder's states.
        config: of the student.
        seed: of the weights.
        out: length of the teacher's states where another model encodes; `gated` then leads there.

    Raises:
        ModelError: this kind takes states of the teacher's own encoder only.
    """
    torch.manual_seed(seed)
    shape = {"width": width, "hidden": config.hidden_multiple * width, "layers": config.layers}
    if out is not None:
        if config.predictor != "gated":
            raise ModelError(
                f"student.predictor is {config.predictor}, but only a gated one leads from another "
                "encoder's states to the teacher's: set it to gated, or teacher.encoder to backbone"
            )
        return ProjectedPredictor(**shape, out=out, skip=config.skip)
    if config.predictor == "additive":
        return AdditivePredictor(**shape)
    if config.predictor == "wide":
        return WidePredictor(**shape, rank=config.rank or width, skip=config.skip)
    return GatedPredictor(**shape, skip=config.skip)


def _divisors(direction: Tensor, scale: float) -> Tensor:
    """Scale / w_i with a ridge: dimensions in which w is nearly zero would need a huge gate.

    The ridge is small: in a quarter of normal w's dimensions, a tenth of the mean square took more
    than half of the cosine away, which training then won back on its own queries only.
    """
    ridge = direction.square().mean() / 1000
    return scale * direction / (direction.square() + ridge)
