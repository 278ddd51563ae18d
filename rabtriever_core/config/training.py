"""Settings of teacher, student and bi-encoder."""

from pydantic import Field

from rabtriever_core.config.component import Component
from rabtriever_core.config.schedule import ScheduleConfig


class TeacherConfig(Component):
    """Supervised fine-tuning of the generative reranker (RaHoRe)."""

    schedule: ScheduleConfig = ScheduleConfig(
        epochs=1.5,
        min_steps=450,
        max_steps=1000,
        queries_per_step=12,
        learning_rate=2e-3,
        token_dropout=0.15,
    )
    """How long it trains."""
    documents_per_query: int = Field(8, ge=2)
    """Candidates a query is compared with in a step; the whole corpus when it is no larger."""
    mined_share: float = Field(0.6, ge=0, le=1)
    """Share of the negatives that are hard ones; the rest is drawn at random."""
    mining_depth: int = Field(16, ge=1)
    """Hard negatives come from this many nearest documents of a query."""
    listwise_weight: float = Field(1.0, ge=0)
    """Weight of the softmax cross-entropy over a query's candidates."""
    contrastive_weight: float = Field(1.0, ge=0)
    """Weight of the contrastive loss on e_Q · e_D that keeps the separate states aligned."""
    anchor_weight: float = Field(0.1, ge=0)
    """Weight of the regression of margins on the cosines that the model itself gives query and
    document read apart: what these know of unseen documents, the margins then know too."""


class StudentConfig(Component):
    """On-policy distillation into a predictor on the frozen teacher (Rabtriever)."""

    hidden_multiple: int = Field(4, ge=1)
    """Hidden width of the predictor's MLP over the backbone's width."""
    skip: bool = True
    """A linear path past the MLP; off in the paper."""
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
    temperature: float = Field(1.0, gt=0)
    """Of the student's policy over documents."""
    uniform_share: float = Field(0.25, ge=0, le=1)
    """Share of the candidates drawn uniformly, so that no document is never tried."""
    mse_weight: float = Field(1.0, ge=0)
    """Weight of MSE(e_stu, e_T)."""
    reverse_kl_weight: float = Field(0.25, ge=0)
    """Weight of KL(P_stu ‖ P_T) on the answer distribution."""
    listwise_kl_weight: float = Field(1.0, ge=0)
    """Weight of the reverse KL between student's and teacher's softmax over the candidates."""
    anchor_weight: float = Field(1.0, ge=0)
    """Weight of the regression of margins over the whole corpus on the cosines of e_Q and e_D,
    which a teacher trained with a contrastive loss keeps aligned."""


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
