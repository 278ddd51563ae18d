"""Settings of the systems that Rabtriever is compared with beside BM25 and the bi-encoder."""

from typing import Literal

from pydantic import Field, PositiveFloat, field_validator

from rabtriever_core.config.component import Component

TrainedBaseline = Literal[
    "margin_mse_bi_encoder", "kl_bi_encoder", "linear_reranker", "pool_classifier"
]
Baseline = TrainedBaseline | Literal["minilm"]


class BaselinesConfig(Component):
    """More systems to compare with, on the same backbone, data and budget; none unless named.

    Same budget: they start where the teacher starts (`teacher.start`) and train on
    `teacher.schedule`, so on the same queries in as many steps, each query with as many documents
    (`teacher.documents_per_query`; the pool classifier reads the whole pool). A system's pairs are
    its training queries times the documents drawn for each; the report has steps, pairs and seconds
    of every system. Not wall time: seconds depend on the machine, and a run that is stopped by the
    clock can be neither repeated nor resumed. The bi-encoder has a schedule of its own and
    `bi_encoder.pairs` for the same number of pairs.
    """

    systems: tuple[Baseline, ...] = ()
    """margin_mse_bi_encoder, kl_bi_encoder: the bi-encoder distilled from the teacher's scores;
    linear_reranker: linear head instead of T / F (RankLLaMA style); pool_classifier: reads all
    documents, answers with one's label (small pools); minilm: all-MiniLM-L6-v2 untuned (extra
    `minilm`)."""
    learning_rates: dict[TrainedBaseline, PositiveFloat] = Field(default_factory=dict)
    """Peak learning rates that differ from `teacher.schedule.learning_rate`: {kl_bi_encoder:
    1.0e-3}."""
    distillation_temperature: float = Field(1.0, gt=0)
    """Divides student's and teacher's scores before kl_bi_encoder's softmax."""
    pool_question: str = (
        "Which Document is the most appropriate reply to Query? Answer with its label."
    )
    """The pool classifier's question in the paper template."""

    @field_validator("systems")
    @classmethod
    def _named_once(cls, systems: tuple[Baseline, ...]) -> tuple[Baseline, ...]:
        twice = sorted({name for name in systems if systems.count(name) > 1})
        if twice:
            raise ValueError(f"named more than once: {', '.join(twice)}")
        return systems
