"""The teacher: the reranker that answers T or F."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from rabtriever_core.config import RuntimeConfig
from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import ArtifactError
from rabtriever_core.models.backbone import Backbone
from rabtriever_core.models.base_reranker import Reranker
from rabtriever_core.models.probability import sigmoid
from rabtriever_core.models.saved_encoder import ENCODER_FOLDER, load_text_encoder
from rabtriever_core.models.text_encoder import TextEncoder
from rabtriever_core.workspace.atomic import write_json

if TYPE_CHECKING:
    import torch


RERANKER_FILE = "reranker.json"
DIRECTION_FILE = "direction.safetensors"
"""w_T − w_F of the teacher beside it."""


class GenerativeReranker(Reranker):
    """Scores pairs by the margin m = logit_T − logit_F (method: RaHoRe, arXiv 2412.16615).

    Beyond the paper, the margin may hold a multiple of cos(e_Q, e_D): a small model then starts
    from what a bi-encoder knows, and what it reads across the pair corrects that.
    """

    @classmethod
    def load(cls, folder: Path, runtime: RuntimeConfig) -> "GenerativeReranker":
        """Open a teacher artifact.

        Raises:
            ArtifactError: it does not say how it scores.
        """
        encoder = None
        if (folder / ENCODER_FOLDER).is_dir():
            encoder = load_text_encoder(folder / ENCODER_FOLDER, runtime)
        return cls.on(Backbone.load(folder, runtime), folder, encoder)

    @classmethod
    def on(
        cls, backbone: Backbone, folder: Path, encoder: TextEncoder | None = None
    ) -> "GenerativeReranker":
        """A teacher artifact whose backbone is open already, and its other encoder if it has one.

        Raises:
            ArtifactError: it does not say how it scores.
        """
        path = folder / RERANKER_FILE
        try:
            scale = float(json.loads(path.read_text(encoding="utf-8"))["cosine_scale"])
        except (FileNotFoundError, ValueError, KeyError) as error:
            raise ArtifactError(
                f"{path} does not say how this teacher scores ({error!r:.200}); an earlier version "
                "may have made it: run `rabtriever run teacher --force` to materialize it again"
            ) from None
        return cls(backbone, scale, encoder)

    def save(self, folder: Path) -> None:
        """Write the backbone and how it scores; another encoder with w_T − w_F beside it.

        Who reads texts apart by that encoder then needs no backbone.
        """
        from safetensors.torch import save_file

        self.backbone.save(folder)
        write_json(folder / RERANKER_FILE, {"cosine_scale": self.cosine_scale})
        if self.encoder is not self.backbone:
            (folder / ENCODER_FOLDER).mkdir()
            self.encoder.save(folder / ENCODER_FOLDER)
            direction = self.direction().detach().cpu().contiguous()
            save_file({"direction": direction}, folder / DIRECTION_FILE)

    def direction(self) -> "torch.Tensor":
        """w_T − w_F: shape [d]."""
        return self.backbone.answer_direction()

    def probability(self, query: str, document: Document) -> float:
        """P(T | query, document) = σ(margin)."""
        return float(sigmoid(self.margins([query], [document])[0, 0]))


def load_direction(teacher: Path) -> "torch.Tensor":
    """w_T − w_F of a teacher artifact that reads texts apart with another encoder: [d]."""
    from safetensors.torch import load_file

    direction: torch.Tensor = load_file(teacher / DIRECTION_FILE)["direction"]
    return direction
