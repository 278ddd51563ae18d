"""Settings of teacher, student and bi-encoder."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from rabtriever_core.config.component import Component
from rabtriever_core.config.schedule import ScheduleConfig


def _each_once(sources: tuple[str, ...]) -> tuple[str, ...]:
    if not sources or len(set(sources)) < len(sources):
        raise ValueError(f"{list(sources)}: name at least one, and none twice")
    return sources


def _share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{value!r} is no share: name a number from 0 to 1")
    return float(value)


def _one_or_several(value: object) -> float | tuple[float, ...]:
    if isinstance(value, list | tuple):
        shares = [_share(each) for each in value]
        if len(shares) < 2 or shares != sorted(set(shares)):
            raise ValueError("name two shares or more, from low to high")
        return tuple(shares)
    if _share(value) == 1:
        raise ValueError("it would undo all training: name less, or several for dev to choose from")
    return _share(value)


OneOrSeveral = Annotated[float | tuple[float, ...], BeforeValidator(_one_or_several)]
MiningSources = Annotated[tuple[Literal["encoder", "bm25"], ...], AfterValidator(_each_once)]


class DpoConfig(Component):
    """Direct preference optimization of the teacher's answer (RaHoRe's better variant)."""

    beta: float = Field(0.1, gt=0)
    """How far the margin may leave the reference's: the loss sees β · (margin − reference)."""
    schedule: ScheduleConfig = ScheduleConfig(
        epochs=1, min_steps=100, max_steps=1000, queries_per_step=12, learning_rate=2e-4
    )
    """How long it trains."""


class TeacherConfig(Component):
    """The generative reranker (RaHoRe)."""

    method: Literal["sft", "dpo", "sft+dpo", "zero-shot"] = "sft"
    """Supervised fine-tuning, preference optimization of the backbone as it is or after
    fine-tuning, or no training (for instruction-tuned backbones)."""
    dpo: DpoConfig = DpoConfig()
    """Preference optimization; candidates are drawn as in fine-tuning."""
    schedule: ScheduleConfig = ScheduleConfig(
        epochs=1.5,
        min_steps=450,
        max_steps=1000,
        queries_per_step=12,
        learning_rate=2e-3,
        token_dropout=0.15,
    )
    """How long fine-tuning takes."""
    start: Literal["backbone", "bi_encoder"] = "backbone"
    """Whose weights it starts from."""
    start_share: OneOrSeveral = 0.0
    """Share of the weights it starts from in those it ends with (WiSE-FT): with `start: bi_encoder`
    and 0.5, a small teacher keeps more of what it knew. 0 is the paper's. Of several ([0, 0.5, 1])
    dev chooses, which needs a `cosine_scale`; with 1 among them it can undo training that made the
    teacher worse."""
    cosine_scale: float = Field(0.0, ge=0)
    """Weight of cos(e_Q, e_D) in the margin: with `start: bi_encoder` and 20, a small teacher keeps
    what the bi-encoder knows beside what it learns from reading the pair; what either counts for in
    the end is fitted on dev. 0 is the paper's."""
    contrastive_queries: int = Field(0, ge=0)
    """Further queries per step for the contrastive loss alone, which likes large batches."""
    documents_per_query: int = Field(8, ge=2)
    """Candidates a query is compared with in a step; the whole corpus when it is no larger."""
    mined_share: float = Field(0.6, ge=0, le=1)
    """Share of the negatives that are hard ones; the rest is drawn at random."""
    mining_depth: int = Field(16, ge=1)
    """Hard negatives come from this many nearest documents of a query."""
    mining_sources: MiningSources = ("encoder",)
    """Which documents are near: by the model's own states (`encoder`), by shared words (`bm25`),
    or by both in turns."""
    mining_refresh_steps: int | None = Field(None, ge=1)
    """Mine anew with the model as it is then, ordered and filtered by its margins; only once,
    before training, when unset."""
    mining_queries: int = Field(2000, ge=1)
    """Training queries whose hard negatives the teacher orders in a refresh."""
    false_negative_margin: float = 0.0
    """In a refresh, documents whose margin is above the positive's by this are no negatives."""
    answer_weight: float = Field(1.0, ge=0)
    """Weight of the cross-entropy on the answer, positives and negatives balanced."""
    listwise_weight: float = Field(1.0, ge=0)
    """Weight of the softmax cross-entropy over a query's candidates."""
    contrastive_weight: float = Field(1.0, ge=0)
    """Weight of the contrastive loss on e_Q · e_D that keeps the separate states aligned."""
    anchor_weight: float = Field(0.1, ge=0)
    """Weight of the regression of margins on the cosines that the model itself gives query and
    document read apart: what these know of unseen documents, the margins then know too."""

    @model_validator(mode="after")
    def _shares_can_be_compared(self) -> "TeacherConfig":
        if isinstance(self.start_share, tuple) and not self.cosine_scale:
            raise ValueError(
                f"start_share: dev chooses among {list(self.start_share)} by cosine and reading "
                "together: set cosine_scale (20 is usual) or name one share"
            )
        return self


class StudentConfig(Component):
    """On-policy distillation into a predictor on the frozen teacher (Rabtriever)."""

    predictor: Literal["gated", "wide", "additive"] = "gated"
    """`gated` is the paper's MLP(e_Q) ⊙ e_D; `wide` maps both sides and adds a bias per document,
    so that stored vectors depend on it; `additive` is the paper's ablation without ⊙."""
    rank: int | None = Field(None, ge=1)
    """Length of the wide predictor's vectors, the bias apart; the backbone's width when unset."""
    layers: int = Field(2, ge=1)
    """Layers of the predictor's MLP."""
    hidden_multiple: int = Field(4, ge=1)
    """Hidden width of the predictor's MLP over the backbone's width."""
    skip: bool = True
    """A linear path past the MLP, which starts it from the cosine; off in the paper."""
    start: Literal["fresh", "served"] = "fresh"
    """`served` starts the predictor from `artifacts/served_student`, which `rabtriever retrain
    --warm` brings from the served release; it must be of the same teacher and shape."""
    query_encoder: Literal["frozen", "lora"] = "frozen"
    """`lora` also trains adapters (`backbone.lora`) on a query side of its own; documents are still
    read by the frozen teacher, so that stored vectors stay valid."""
    schedule: ScheduleConfig = ScheduleConfig(
        epochs=10,
        min_steps=600,
        max_steps=2000,
        queries_per_step=64,
        learning_rate=3e-4,
        token_dropout=0.15,
        checkpoint_steps=100,
    )
    """How long it trains."""
    refresh_steps: int = Field(150, ge=1)
    """Steps between two roll-outs of the student's current policy (1 is fully on-policy)."""
    rollout_queries: int = Field(400, ge=1)
    """Training queries that a roll-out draws candidates for."""
    documents_per_query: int = Field(12, ge=2)
    """Candidates drawn per query of a roll-out."""
    policy: Literal["student", "cosine", "uniform"] = "student"
    """Who draws the candidates: the student itself (on-policy), or, for comparison, the cosine of
    e_Q and e_D before training, or nobody in particular."""
    temperature: float = Field(1.0, gt=0)
    """Of the policy over documents."""
    uniform_share: float = Field(0.25, ge=0, le=1)
    """Share of the candidates drawn uniformly, so that no document is never tried."""
    mse_weight: float = Field(1.0, ge=0)
    """Weight of MSE(e_stu, e_T)."""
    reverse_kl_weight: float = Field(0.25, ge=0)
    """Weight of KL(P_stu ‖ P_T) on the answer distribution."""
    forward_kl_weight: float = Field(0.0, ge=0)
    """Weight of KL(P_T ‖ P_stu), the paper's ablation."""
    listwise_kl_weight: float = Field(1.0, ge=0)
    """Weight of the reverse KL between student's and teacher's softmax over the candidates."""
    anchor_weight: float = Field(1.0, ge=0)
    """Weight of the regression of margins over the whole corpus on the cosines of e_Q and e_D,
    which a teacher trained with a contrastive loss keeps aligned."""
    supervised_weight: float = Field(0.0, ge=0)
    """Weight of a list-wise loss on the labels, so that a student need not end below a plain
    bi-encoder when the teacher is weak; 0 keeps distillation free of labels."""


class BiEncoderConfig(Component):
    """The baseline a user would pick instead: InfoNCE on the same backbone and data."""

    schedule: ScheduleConfig = ScheduleConfig(
        epochs=5, min_steps=100, max_steps=400, queries_per_step=48, token_dropout=0.15
    )
    """How long it trains."""
    pairs: int | None = Field(None, ge=1)
    """Train on this many (query, document) pairs instead of for the schedule's epochs: training
    queries × (1 + hard_negatives), other queries' documents not counted. With the teacher's
    number, which the report shows, both have the same budget."""
    temperature: float = Field(0.05, gt=0)
    """Of the InfoNCE softmax over cosine similarities."""
    hard_negatives: int = Field(1, ge=0)
    """Mined documents added per query to the in-batch negatives."""
    mining_depth: int = Field(30, ge=1)
    """Hard negatives come from this many nearest documents of a query."""
    mining_sources: MiningSources = ("encoder",)
    """As the teacher's."""

    @property
    def documents_per_query(self) -> int:
        """Documents drawn for a query of a step."""
        return 1 + self.hard_negatives

    def steps(self, queries: int) -> int:
        """Optimizer steps for this many training queries."""
        if self.pairs is None:
            return self.schedule.steps(queries)
        return max(
            1, round(self.pairs / (self.schedule.queries_per_step * self.documents_per_query))
        )
