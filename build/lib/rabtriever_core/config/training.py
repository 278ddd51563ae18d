"""Settings of teacher, student and bi-encoder."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from rabtriever_core.config.component import Component, Shown
from rabtriever_core.config.layers import Layers
from rabtriever_core.config.schedule import ScheduleConfig


def _each_once(sources: tuple[str, ...]) -> tuple[str, ...]:
    if not sources or len(set(sources)) < len(sources):
        raise ValueError(f"{list(sources)}: name at least one, and none twice")
    return sources


def _share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{value!r} is not a share: give a number from 0 to 1")
    return float(value)


def _one_or_several(value: object) -> float | tuple[float, ...]:
    if isinstance(value, list | tuple):
        shares = [_share(each) for each in value]
        if len(shares) < 2 or shares != sorted(set(shares)):
            raise ValueError("give at least two shares, from low to high")
        return tuple(shares)
    if _share(value) == 1:
        raise ValueError("1 would undo all training: give less, or several for dev to choose from")
    return _share(value)


OneOrSeveral = Annotated[float | tuple[float, ...], BeforeValidator(_one_or_several)]
MiningSources = Annotated[tuple[Literal["encoder", "bm25"], ...], AfterValidator(_each_once)]


class DpoConfig(Component):
    """Direct preference optimization of the teacher's answer, RaHoRe's better variant."""

    beta: float = Field(0.1, gt=0)
    """How closely the margin stays to the reference model's: the loss sees β · (margin − reference
    margin)."""
    schedule: ScheduleConfig = ScheduleConfig(
        epochs=1, min_steps=100, max_steps=1000, queries_per_step=12, learning_rate=2e-4
    )
    """How long preference optimization takes."""


class TeacherConfig(Component):
    """The generative reranker that reads query and document together (RaHoRe)."""

    method: Shown[Literal["sft", "dpo", "sft+dpo", "zero-shot"]] = "sft"
    """How it is trained: sft, dpo, sft+dpo, or zero-shot (not at all). `sft` is supervised
    fine-tuning, `dpo` preference optimization of the backbone, `sft+dpo` one after the other.
    Zero-shot is for instruction-tuned backbones."""
    dpo: DpoConfig = DpoConfig()
    """Preference optimization. Its candidates are drawn as in fine-tuning."""
    schedule: Shown[ScheduleConfig] = ScheduleConfig(
        epochs=1.5,
        min_steps=450,
        max_steps=1000,
        queries_per_step=12,
        learning_rate=2e-3,
        token_dropout=0.15,
    )
    """How long fine-tuning takes."""
    start: Shown[Literal["backbone", "bi_encoder"]] = "backbone"
    """Whose weights it starts from: backbone or bi_encoder."""
    start_share: Shown[OneOrSeveral] = 0.0
    """Share of its starting weights averaged into its final ones (WiSE-FT). The paper has 0. With
    `start: bi_encoder`, 0.5 lets a small teacher keep more of what it knew. Give several ([0, 0.5,
    1]) to let dev choose one, which needs a `cosine_scale`; 1 among them can undo training that
    made the teacher worse."""
    encoder: Shown[Literal["backbone", "bi_encoder"]] = "backbone"
    """What reads queries and documents apart, for the cosine and for the student: backbone or
    bi_encoder. The paper has the teacher's own backbone. `bi_encoder` takes the trained model of
    that stage, which may be a pretrained encoder: a small one answers faster, and with its cosine
    in the margin a small teacher is never far below it."""
    cosine_scale: Shown[float] = Field(0.0, ge=0)
    """Weight of cos(e_Q, e_D) in the margin. The paper has 0. With `start: bi_encoder`, 20 lets a
    small teacher keep what the bi-encoder knows and add what it learns from reading the pair. The
    final weights of both are fitted on dev."""
    contrastive_queries: int = Field(0, ge=0)
    """Additional queries per step for the contrastive loss alone, which likes large batches."""
    documents_per_query: int = Field(8, ge=2)
    """Documents that a query is compared with in a step; the whole corpus if that is smaller."""
    mined_share: float = Field(0.6, ge=0, le=1)
    """Share of hard negatives; the others are drawn at random."""
    mining_depth: int = Field(16, ge=1)
    """Hard negatives are drawn from this many documents nearest to the query."""
    mining_sources: MiningSources = ("encoder",)
    """Which documents are near: those with similar states in the model (`encoder`), those that
    share words (`bm25`), or both in turns."""
    mining_refresh_steps: int | None = Field(None, ge=1)
    """Steps after which hard negatives are mined again with the current model, ordered and filtered
    by its margins. Null mines once, before training."""
    mining_queries: int = Field(2000, ge=1)
    """How many training queries have their hard negatives ordered by the teacher when mining
    again."""
    false_negative_margin: float = 0.0
    """When mining again, a document whose margin exceeds the positive's by more than this is not
    used as a negative."""
    answer_weight: float = Field(1.0, ge=0)
    """Weight of the cross-entropy on the answer token; positives and negatives are balanced."""
    listwise_weight: float = Field(1.0, ge=0)
    """Weight of the list-wise loss: softmax cross-entropy over a query's candidates."""
    contrastive_weight: float = Field(1.0, ge=0)
    """Weight of the contrastive loss on e_Q · e_D, which keeps the separate states aligned."""
    anchor_weight: float = Field(0.1, ge=0)
    """Weight of the anchor loss, which pulls margins towards the cosines of query and document read
    apart. Margins then keep what the cosines know about unseen documents."""

    @model_validator(mode="after")
    def _shares_can_be_compared(self) -> "TeacherConfig":
        if isinstance(self.start_share, tuple) and not self.cosine_scale:
            raise ValueError(
                f"start_share: dev can choose among {list(self.start_share)} only with a "
                "cosine_scale: set it (20 is usual), or give one share"
            )
        return self


class StudentConfig(Component):
    """The student: a predictor on the frozen teacher, distilled on-policy (Rabtriever)."""

    predictor: Shown[Literal["gated", "wide", "additive"]] = "gated"
    """Form of the predictor: gated (the paper's), wide or additive. `gated` is MLP(e_Q) ⊙ e_D;
    `wide` maps both sides and adds a bias per document, so that stored vectors depend on it;
    `additive` is the paper's ablation without ⊙."""
    rank: int | None = Field(None, ge=1)
    """Length of the wide predictor's vectors, without the bias; the backbone's width when null."""
    layers: int = Field(2, ge=1)
    """Number of layers of the predictor's MLP."""
    hidden_multiple: int = Field(4, ge=1)
    """Hidden width of the predictor's MLP, as a multiple of the backbone's width."""
    skip: bool = True
    """Add a linear path past the MLP, so that training starts from the cosine. The paper has
    none."""
    start: Literal["fresh", "served"] = "fresh"
    """What the predictor starts from: new weights, or with `served` those of the served release,
    which `rabtriever retrain --warm` puts into `artifacts/served_student`. Teacher and shape must
    be the same."""
    query_encoder: Shown[Literal["frozen", "lora", "trained"]] = "frozen"
    """What is trained of the model that reads queries, beside the predictor: frozen (nothing), lora
    or trained. `lora` trains adapters (`backbone.lora`), `trained` all weights of a copy. Documents
    are still read by the teacher's encoder, so stored vectors stay valid."""
    schedule: Shown[ScheduleConfig] = ScheduleConfig(
        epochs=10,
        min_steps=600,
        max_steps=2000,
        queries_per_step=64,
        learning_rate=3e-4,
        token_dropout=0.15,
        checkpoint_steps=100,
    )
    """How long distillation takes."""
    refresh_steps: int = Field(150, ge=1)
    """Steps between two roll-outs of the student's current policy; 1 is fully on-policy."""
    rollout_queries: int = Field(400, ge=1)
    """How many training queries a roll-out draws candidates for."""
    documents_per_query: int = Field(12, ge=2)
    """How many candidates a roll-out draws per query."""
    policy: Literal["student", "cosine", "uniform"] = "student"
    """How candidates are drawn: by the student itself (on-policy), or, for comparison, by the
    cosine of e_Q and e_D before training, or uniformly."""
    temperature: float = Field(1.0, gt=0)
    """Temperature of the policy over documents."""
    uniform_share: float = Field(0.25, ge=0, le=1)
    """Share of candidates that are drawn uniformly, so that every document has a chance."""
    mse_weight: float = Field(1.0, ge=0)
    """Weight of MSE(e_stu, e_T)."""
    reverse_kl_weight: float = Field(0.25, ge=0)
    """Weight of the reverse KL, KL(P_stu ‖ P_T), between the answer distributions."""
    forward_kl_weight: float = Field(0.0, ge=0)
    """Weight of the forward KL, KL(P_T ‖ P_stu), the paper's ablation."""
    listwise_kl_weight: float = Field(1.0, ge=0)
    """Weight of the reverse KL between the student's and the teacher's softmax over the
    candidates."""
    anchor_weight: float = Field(1.0, ge=0)
    """Weight of the anchor loss, which pulls margins over the whole corpus towards the cosines of
    e_Q and e_D. A teacher trained with a contrastive loss keeps these aligned."""
    supervised_weight: float = Field(0.0, ge=0)
    """Weight of a list-wise loss on the labels. It keeps the student from ending below a plain
    bi-encoder when the teacher is weak; with 0 distillation uses no labels."""


class BiEncoderConfig(Component):
    """A bi-encoder on the same data (InfoNCE): a baseline, and what may encode for the student."""

    encoder: Shown[str] = "backbone"
    """The model it is: backbone, minilm, a Hugging Face hub id, or a folder in the layout of
    transformers or sentence-transformers."""
    layers: Layers | None = None
    """How many layers of a pretrained encoder are kept, or which, as in backbone.layers; null keeps
    all."""
    schedule: Shown[ScheduleConfig] = ScheduleConfig(
        epochs=5, min_steps=100, max_steps=400, queries_per_step=48, token_dropout=0.15
    )
    """How long the bi-encoder trains."""
    pairs: int | None = Field(None, ge=1)
    """Train on this many (query, document) pairs instead of for the schedule's epochs. A training
    query counts as 1 + hard_negatives pairs. With the teacher's number, which the report shows,
    both have the same budget."""
    temperature: float = Field(0.05, gt=0)
    """Temperature of the InfoNCE softmax over cosine similarities."""
    hard_negatives: Shown[int] = Field(1, ge=0)
    """Mined negatives per query, beside those in the batch."""
    mining_depth: int = Field(30, ge=1)
    """Hard negatives are drawn from this many documents nearest to the query."""
    mining_sources: MiningSources = ("encoder",)
    """Which documents are near, as in teacher.mining_sources."""

    @model_validator(mode="after")
    def _layers_of_an_encoder(self) -> "BiEncoderConfig":
        if self.layers is not None and self.encoder == "backbone":
            raise ValueError("layers: of a pretrained encoder; backbone.layers cuts the backbone")
        return self

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
