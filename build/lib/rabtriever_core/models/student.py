"""The student: query and document encoded apart, the teacher's margin as one dot product."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rabtriever_core.config import LoraConfig, RuntimeConfig
from rabtriever_core.data.dataset import Document
from rabtriever_core.models.arrays import Floats, to_device
from rabtriever_core.models.backbone import Backbone
from rabtriever_core.models.reranker import load_direction
from rabtriever_core.models.saved_encoder import load_encoder_of_teacher, load_text_encoder
from rabtriever_core.models.states import document_states, query_states
from rabtriever_core.models.text_encoder import TextEncoder
from rabtriever_core.workspace.artifacts import load_artifact

if TYPE_CHECKING:
    import torch

    from rabtriever_core.models.predictor import Predictor

ADAPTER_FOLDER = "query_adapter"
QUERY_ENCODER_FOLDER = "query_encoder"


class Student:
    """Independent query and document embeddings distilled from the teacher (arXiv 2604.23336).

    `encode_queries(q) @ encode_documents(d).T == margin(q, d)`, the student's T − F logit, up to
    the query's offset, which is zero for the paper's predictor.
    """

    def __init__(
        self,
        encoder: TextEncoder,
        predictor: "Predictor",
        query_encoder: TextEncoder | None = None,
        direction: "torch.Tensor | None" = None,
    ) -> None:
        """Put the parts together.

        Args:
            encoder: reads documents, and queries too unless they have an encoder of their own.
            predictor: from its states to the teacher's.
            query_encoder: reads queries.
            direction: w_T − w_F of the teacher [d]; the encoder's own where it is the backbone.
        """
        if direction is None:
            assert isinstance(encoder, Backbone)  # noqa: S101  no other encoder has a head
            direction = encoder.answer_direction()
        self.encoder = encoder
        self.predictor = predictor.to(encoder.device)
        self.direction = direction.detach().to(encoder.device)
        self.query_encoder = query_encoder or encoder
        self.adapters: Any = None
        """The query side's adapters while they are on, unmerged."""

    @property
    def queries_are_read_apart(self) -> bool:
        """Whether queries have an encoder of their own, and documents another."""
        return self.query_encoder is not self.encoder

    def adapt_queries(self, copy: TextEncoder, lora: LoraConfig, seed: int) -> None:
        """Read queries through adapters from now on; they stay on, unmerged, to be trained.

        Args:
            copy: a second copy of the encoder, changed in place: documents are still read by the
                first, so that stored vectors stay valid.
            lora: the adapters.
            seed: of their weights.
        """
        from rabtriever_core.models.lora import with_adapters

        self.query_encoder = copy
        self.adapters = with_adapters(copy, lora, seed)

    def save(self, folder: Path) -> None:
        """Write what the teacher does not hold: the predictor, and what reads queries."""
        self.predictor.save(folder)
        if self.adapters is not None:
            self.adapters.save_pretrained(folder / ADAPTER_FOLDER)
        elif self.queries_are_read_apart:
            (folder / QUERY_ENCODER_FOLDER).mkdir()
            self.query_encoder.save(folder / QUERY_ENCODER_FOLDER)

    @property
    def dimension(self) -> int:
        """Length of the vectors."""
        return self.predictor.vector_size

    @classmethod
    def load(cls, folder: Path, teacher: Path, runtime: RuntimeConfig) -> "Student":
        """Open a student artifact on the frozen teacher it was distilled from.

        Raises:
            ArtifactError: an artifact is missing or damaged, or the teacher is another one.
        """
        from rabtriever_core.models.lora import load_adapters
        from rabtriever_core.models.predictor import Predictor

        load_artifact(folder, parents={"teacher": load_artifact(teacher).hash})
        encoder = load_encoder_of_teacher(teacher, runtime)
        query_encoder = None
        if (folder / QUERY_ENCODER_FOLDER).is_dir():
            query_encoder = load_text_encoder(folder / QUERY_ENCODER_FOLDER, runtime)
        elif (folder / ADAPTER_FOLDER).is_dir():
            query_encoder = load_encoder_of_teacher(teacher, runtime)
            load_adapters(query_encoder, folder / ADAPTER_FOLDER)
        direction = None if isinstance(encoder, Backbone) else load_direction(teacher)
        return cls(encoder, Predictor.load(folder), query_encoder, direction)

    def encode_queries(
        self, queries: Sequence[str], batch_size: int = 64, *, progress: bool = False
    ) -> Floats:
        """φ(q), for the paper's predictor (w_T − w_F) ⊙ MLP_θ(e_Q): float32 [n, v]."""
        return self.encode_queries_with_offsets(queries, batch_size, progress=progress)[0]

    def encode_queries_with_offsets(
        self, queries: Sequence[str], batch_size: int = 64, *, progress: bool = False
    ) -> tuple[Floats, Floats]:
        """(φ(q) [n, v], what to add to its dot products to get margins [n]), float32."""
        import torch

        states = query_states(self.query_encoder, queries, batch_size, progress=progress)
        e_q = to_device(states, self.encoder.device)
        with torch.inference_mode():
            vectors = self.predictor.query_vectors(e_q, self.direction)
            offsets = self.predictor.query_offsets(e_q, self.direction)
        return vectors.cpu().numpy(), offsets.cpu().numpy()

    def encode_documents(
        self, documents: Sequence[Document], batch_size: int = 64, *, progress: bool = False
    ) -> Floats:
        """The vectors to store, for the paper's predictor e_D itself: float32 [m, v]."""
        states = document_states(self.encoder, documents, batch_size, progress=progress)
        return self.document_vectors(states)

    def document_vectors(self, states: Floats) -> Floats:
        """The vectors to store from e_D [m, d]: float32 [m, v]."""
        import torch

        e_d = to_device(states, self.encoder.device)
        with torch.inference_mode():
            vectors: Floats = self.predictor.document_vectors(e_d, self.direction).cpu().numpy()
        return vectors

    def margin(self, queries: Sequence[str], documents: Sequence[Document]) -> Floats:
        """The student's T − F logit of every pair, through the predictor: float32 [n, m].

        Computed as ⟨w_T − w_F, e_stu(q, d)⟩, apart from the vectors that are indexed.
        """
        import torch

        device = self.encoder.device
        e_q = to_device(query_states(self.query_encoder, queries), device)
        e_d = to_device(document_states(self.encoder, documents), device)
        with torch.inference_mode():
            rows = [
                (self.predictor.states(row[None], e_d[None]) @ self.direction)[0].cpu()
                for row in e_q
            ]
        return torch.stack(rows).numpy() if rows else np.zeros((0, len(documents)), np.float32)
