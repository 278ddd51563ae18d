"""A bi-encoder on the same data (InfoNCE): the backbone's last token, or a pretrained encoder."""

from collections.abc import Callable, Sequence
from pathlib import Path

from rabtriever_core.config import BiEncoderConfig, RuntimeConfig
from rabtriever_core.data.dataset import Document
from rabtriever_core.models.arrays import Floats, to_device, unit_rows
from rabtriever_core.models.saved_encoder import load_text_encoder
from rabtriever_core.models.states import document_states, query_states
from rabtriever_core.models.text_encoder import TextEncoder
from rabtriever_core.training.examples import Examples
from rabtriever_core.training.history import History
from rabtriever_core.training.loop import train
from rabtriever_core.training.steps import queries_met, start_step


class BiEncoder:
    """Cosine similarity of texts read apart."""

    def __init__(self, encoder: TextEncoder) -> None:
        self.encoder = encoder

    @classmethod
    def load(cls, folder: Path, runtime: RuntimeConfig) -> "BiEncoder":
        """Open a bi_encoder artifact."""
        return cls(load_text_encoder(folder, runtime))

    def encode_queries(self, queries: Sequence[str]) -> Floats:
        """Unit vectors: float32 [n, d]."""
        return unit_rows(query_states(self.encoder, queries))

    def encode_documents(self, documents: Sequence[Document]) -> Floats:
        """Unit vectors: float32 [m, d]."""
        return unit_rows(document_states(self.encoder, documents))

    def scores(self, queries: Sequence[str], documents: Sequence[Document]) -> Floats:
        """Cosine of every pair: float32 [n, m]."""
        cosines: Floats = self.encode_queries(queries) @ self.encode_documents(documents).T
        return cosines


def train_bi_encoder(
    encoder: TextEncoder,
    examples: Examples,
    config: BiEncoderConfig,
    runtime: RuntimeConfig,
    checkpoints: Path,
    quality: Callable[[], float] | None = None,
) -> History:
    """Train an encoder with InfoNCE over in-batch and mined negatives (in place).

    Args:
        encoder: becomes the bi-encoder.
        examples: training queries and corpus, as this encoder reads them.
        config: how to train.
        runtime: seed, device, precision.
        checkpoints: where to resume from.
        quality: measured on dev, for early stopping.
    """
    import torch

    from rabtriever_core.training.losses import info_nce
    from rabtriever_core.training.negatives import in_batch_documents, mine

    schedule = config.schedule
    steps = config.steps(len(examples.queries))
    mined = None
    if config.hard_negatives:
        mined = mine(
            config.mining_sources,
            encoder,
            examples,
            examples.relevant_documents,
            config.mining_depth,
            queries_met("bi_encoder", examples, schedule, runtime.seed, range(steps)),
        )

    def loss_at(step: int) -> dict[str, torch.Tensor]:
        rng, queries = start_step("bi_encoder", examples, schedule, runtime.seed, step)
        documents = in_batch_documents(examples, queries, mined, config.hard_negatives, rng)
        e_d = encoder.last_states(
            examples.thinned_documents(documents, schedule.token_dropout, rng)
        )
        query_ids = examples.thinned_queries(queries, schedule.token_dropout, rng)
        e_q = encoder.last_states(encoder.prompt.alone(query_ids))
        relevant = to_device(examples.relevance(queries, documents), e_q.device)
        counted = to_device(examples.counted(queries, documents), e_q.device)
        return {"contrast": info_nce(e_q, e_d, relevant, counted, config.temperature)}

    return train(
        encoder.model,
        loss_at,
        steps=steps,
        schedule=schedule,
        runtime=runtime,
        checkpoints=checkpoints,
        label="bi-encoder",
        quality=quality,
    )
