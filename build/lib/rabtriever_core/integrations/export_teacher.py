"""The teacher as a `CrossEncoder` of sentence-transformers."""

from pathlib import Path

from rabtriever_core.errors import ModelError
from rabtriever_core.integrations.export_student import reading_module
from rabtriever_core.integrations.export_tokenizer import framing_tokenizer, pair_frame
from rabtriever_core.models.reranker import GenerativeReranker


def write_cross_encoder(teacher: GenerativeReranker, folder: Path) -> None:
    """Write a folder for `CrossEncoder(folder)`, whose scores of (query, document) are margins.

    Both texts are read as the teacher reads them while they are no longer than the prompt allows.
    A `CrossEncoder` cuts longer ones together, the teacher each by itself.

    Raises:
        ModelError: the margin is more than the two answers' logits, or the tokenizer has no fast
            form.
    """
    from sentence_transformers import CrossEncoder
    from sentence_transformers.cross_encoder.modules import LogitScore
    from torch import nn

    if teacher.cosine_scale:
        raise ModelError(
            f"its margin holds {teacher.cosine_scale:.4g} · cos(e_Q, e_D) of query and document "
            "read apart (teacher.cosine_scale), beside what it reads across the pair: a "
            "CrossEncoder computes the second only"
        )
    prompt = teacher.backbone.prompt
    reader = reading_module(
        teacher.backbone.model,
        framing_tokenizer(prompt, pair_frame(prompt.spec)),
        "text-generation",
    )
    model = CrossEncoder(
        modules=[reader, LogitScore(prompt.spec.true_id, prompt.spec.false_id)],
        device="cpu",
        # A margin, and no probability.
        activation_fn=nn.Identity(),
    )
    model.save_pretrained(str(folder), create_model_card=False)
