"""Open what reads queries and documents apart, of either kind."""

from pathlib import Path

from rabtriever_core.config import RuntimeConfig
from rabtriever_core.models.backbone import Backbone
from rabtriever_core.models.encoder import ENCODER_FILE, Encoder

ENCODER_FOLDER = "encoder"
"""Of a teacher artifact: what reads texts apart, where that is not the teacher's backbone."""


def load_text_encoder(folder: Path, runtime: RuntimeConfig) -> Backbone | Encoder:
    """Open a folder that either kind has saved, ready for inference."""
    if (folder / ENCODER_FILE).is_file():
        return Encoder.load(folder, runtime)
    return Backbone.load(folder, runtime)


def load_encoder_of_teacher(teacher: Path, runtime: RuntimeConfig) -> Backbone | Encoder:
    """Open what a teacher artifact reads texts apart with: its backbone, or another encoder."""
    other = teacher / ENCODER_FOLDER
    return load_text_encoder(other if other.is_dir() else teacher, runtime)
