"""The contract of `benchmark.json`: what readers of the file may rely on."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from rabtriever_core.evaluation.metrics import METRICS

SYSTEMS = ("bm25", "bi_encoder", "teacher", "student")
"""Always there."""
SYSTEM_LABELS = {
    "popularity": "Popularity, query unread",
    "bm25": "BM25",
    "minilm": "MiniLM, untuned",
    "bi_encoder": "Bi-encoder",
    "margin_mse_bi_encoder": "Bi-encoder, MarginMSE",
    "kl_bi_encoder": "Bi-encoder, KL",
    "linear_reranker": "Linear reranker",
    "pool_classifier": "Pool classifier",
    "teacher_cosine": "Teacher, cosine alone",
    "teacher": "Teacher",
    "student": "Student",
    "hybrid": "Student + BM25",
}
"""Of every system there can be in stored results, in the order they are shown."""

Share = Field(ge=0, le=1)


def in_order(systems: Iterable[str]) -> tuple[str, ...]:
    """Names of systems in the order they are shown."""
    found = set(systems)
    return tuple(name for name in SYSTEM_LABELS if name in found)


def served_system(benchmark: Mapping[str, Any]) -> str:
    """The system whose rankings applications get: the student, or with BM25 beside it."""
    return "hybrid" if (benchmark.get("hybrid") or {}).get("served") else "student"


def point_of(points: Iterable[Mapping[str, Any]], role: str) -> Mapping[str, Any]:
    """The point `never`, `auto` or `always` of a curve of two-stage answers."""
    return next(point for point in points if point.get("role") == role)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class DatasetFacts(_Part):
    """What was benchmarked on."""

    name: str
    fingerprint: str
    documents: int = Field(ge=1)
    queries: dict[str, int]
    """Split → judged queries (a sample of them may have been evaluated)."""
    left_out: dict[str, int] | None = None
    """Split → evaluated queries whose rankings leave documents out: the query's own, or excluded
    ones; splits without any are not named."""


class SystemResult(_Part):
    """One system on one split."""

    metrics: dict[str, float]
    queries: int = Field(ge=1)
    """Queries evaluated."""
    ms_per_query: float = Field(gt=0)
    """Median, one query at a time, text in to ranking out; the same number for all splits."""
    ms_p95: float | None = Field(None, gt=0)
    confidence: dict[str, tuple[float, float]] | None = None
    """Metric → 95% bootstrap interval of the mean."""

    @field_validator("metrics")
    @classmethod
    def _complete(cls, metrics: dict[str, float]) -> dict[str, float]:
        if set(metrics) != set(METRICS):
            raise ValueError(f"metrics must be {', '.join(METRICS)}; got {', '.join(metrics)}")
        wrong = {name: value for name, value in metrics.items() if not 0 <= value <= 1}
        if wrong:
            raise ValueError(f"metrics lie in 0..1; got {wrong}")
        return metrics


class Comparison(_Part):
    """A paired test of two systems on one split."""

    a: str
    b: str
    metric: str
    difference: float
    """Mean of a − mean of b."""
    p_value: float = Share
    p_value_holm: float | None = Field(None, ge=0, le=1)
    """Corrected for all comparisons of all splits."""
    test: str


class SplitResult(_Part):
    """All systems on one split."""

    systems: dict[str, SystemResult]
    comparisons: list[Comparison]
    majority_class: float | None = Field(None, ge=0, le=1)
    """R@1 of `popularity`, in files from before it was a system."""

    @field_validator("systems")
    @classmethod
    def _all_systems(cls, systems: dict[str, SystemResult]) -> dict[str, SystemResult]:
        if not set(SYSTEMS) <= set(systems) <= set(SYSTEM_LABELS):
            further = ", ".join(name for name in SYSTEM_LABELS if name not in SYSTEMS)
            raise ValueError(
                f"systems must be {', '.join(SYSTEMS)}, and may be {further}; "
                f"got {', '.join(systems)}"
            )
        return systems


class Exactness(_Part):
    """Whether the index ranks as the model does."""

    top10_agreement: float = Share
    hnsw_recall: float | None = Field(None, alias="hnsw_recall@10", ge=0, le=1)
    truncation_recall: float | None = Field(None, alias="truncation_recall@10", ge=0, le=1)
    """Share of the whole student's top ten that the index's fewer dimensions find."""
    served_recall: float | None = Field(None, alias="served_recall@10", ge=0, le=1)
    """Share of the index's exact top ten that graph and quantized vectors of the server find."""
    hnsw_note: str | None = None
    """Why the recall of an HNSW graph was not measured."""


class ResponseTime(_Part):
    """Response time over a small pool of documents of one length."""

    tokens: int = Field(ge=1)
    teacher_ms: float = Field(gt=0)
    student_ms: float = Field(gt=0)


class ReliabilityBin(_Part):
    """Pairs of like probability."""

    low: float = Share
    high: float = Share
    predicted: float = Share
    """Mean probability."""
    observed: float = Share
    """Share that is right; of `teacher_agreement`, the teacher's mean probability."""
    pairs: int = Field(ge=1)


class Probabilities(_Part):
    """How good probabilities of pairs are."""

    ece_equal_width: float = Share
    """Expected calibration error over bins of width 0.1."""
    ece_equal_mass: float = Share
    """Expected calibration error over ten bins of as many pairs each."""
    brier: float = Share
    nll: float = Field(ge=0)
    """In nats."""
    bins: list[ReliabilityBin]
    """Of width 0.1; empty ones are left out."""


class PairProbabilities(_Part):
    """Probabilities of the same pairs."""

    pairs: int = Field(ge=1)
    right: float = Share
    """Share that is judged right."""
    student: Probabilities
    """σ(margin) as it is."""
    calibrated: Probabilities
    teacher: Probabilities | None = None
    """σ(margin) as it is."""
    teacher_calibrated: Probabilities | None = None


class TeacherAgreement(_Part):
    """Student's calibrated probability held to the teacher's."""

    mean_absolute_difference: float = Share
    mean_margin_difference: float
    """Student's margin − teacher's."""
    bins: list[ReliabilityBin]


class Abstention(_Part):
    """Answering only when the best document's probability reaches the threshold."""

    queries: int = Field(ge=1)
    unanswerable: int = Field(ge=0)
    """Queries once more, their right documents taken out of the pool."""
    auroc: float | None = Field(None, ge=0, le=1)
    """Of the best document's margin, queries as they are against unanswerable ones."""
    area_under_risk_coverage: float = Share
    answered: float | None = Field(None, ge=0, le=1)
    precision: float | None = Field(None, ge=0, le=1)
    """Share of right answers among the answered queries as they are."""
    precision_interval: tuple[float, float] | None = None
    """Exact binomial, 95%."""
    unanswerable_refused: float | None = Field(None, ge=0, le=1)
    answered_in_mix: float | None = Field(None, ge=0, le=1)
    """With the share of unanswerable queries that the threshold was fitted for."""
    precision_in_mix: float | None = Field(None, ge=0, le=1)
    curve: list[tuple[float, float]]
    """(coverage, risk) of the queries as they are."""
    curve_in_mix: list[tuple[float, float]]


class SplitCalibration(_Part):
    """The calibration on one split."""

    best: PairProbabilities
    """The student's best documents of every query: the probabilities users see."""
    all_pairs: PairProbabilities | None = None
    """Every query with every document, where the pool is no larger than the ranking depth."""
    teacher_agreement: TeacherAgreement
    """On the pairs of `best`."""
    abstention: Abstention


class FittedMargins(_Part):
    """Slope and bias of σ(slope · margin + bias)."""

    slope: float = Field(ge=0)
    bias: float


class CalibrationResult(_Part):
    """The calibration fitted on dev, measured on the splits of the benchmark."""

    slope: float = Field(ge=0)
    bias: float
    threshold: float | None = Field(None, ge=0, le=1)
    """Absent when no threshold reached the precision on dev."""
    precision: float = Share
    """What the threshold was fitted for."""
    unanswerable_share: float = Share
    teacher: FittedMargins | None = None
    """The same of the teacher's margins."""
    documents_per_query: int = Field(ge=1)
    splits: dict[str, SplitCalibration]


class TwoStagePoint(_Part):
    """Two-stage answers with one threshold: the teacher is asked below this probability."""

    threshold: float = Share
    """Of the calibrated probability of the student's best document."""
    role: Literal["never", "auto", "always"] | None = None
    """Student alone, `rerank: auto` as it is set, or `rerank: true`."""
    share: float = Share
    """Share of the queries that the teacher is asked for."""
    metrics: dict[str, float]
    ms: float = Field(gt=0)
    """Expected milliseconds per query."""
    gain: float | None = Field(None, ge=-1, le=1)
    """MRR@10 − that of the student alone; absent where the teacher is never asked."""
    gain_interval: tuple[float, float] | None = None
    """95% bootstrap interval of it."""


class TwoStageCurve(_Part):
    """Two-stage answers on one split, from never asking the teacher to always asking it."""

    queries: int = Field(ge=1)
    """Queries measured: a sample where the teacher had to read more than it had for its ranking."""
    points: list[TwoStagePoint] = Field(min_length=3)


class TwoStageResult(_Part):
    """What the teacher's reading of the student's first documents gains, and what it costs."""

    depth: int = Field(ge=1)
    """Documents that the teacher read."""
    rerank_depth: int = Field(ge=1)
    """Documents that it reads for an application; more than `depth` where rankings are shorter."""
    rerank_below: float = Share
    student_ms: float = Field(gt=0)
    """Median milliseconds per query of the student alone."""
    rerank_ms: float = Field(gt=0)
    """Median that reranking adds, one query at a time."""
    splits: dict[str, TwoStageCurve] = Field(min_length=1)
    dev_split: str
    dev: TwoStageCurve
    """The split that the threshold is chosen on; its probabilities were fitted on it, too."""
    suggested_below: float = Share
    """Threshold chosen on dev; 0 where reranking brings no clear gain."""


class WeightChoice(_Part):
    """The weight of BM25 beside the margin that dev chooses."""

    weight: float = Field(ge=0)
    """The best one where its gain is clear, else 0."""
    best: float = Field(gt=0)
    metrics: dict[str, float]
    """Weight → MRR@10; 0 is the student alone."""
    gain: float = Field(ge=-1, le=1)
    """MRR@10 of the best weight − that of the student alone."""
    p_value: float = Share
    """Of the gain; paired, not corrected for the choice."""
    queries: int = Field(ge=1)


class HybridResult(_Part):
    """Ranking by margin + weight · BM25: the system `hybrid`, where its weight is above 0."""

    weight: float = Field(ge=0)
    served: bool
    """Whether applications get its rankings (`index.bm25_weight`)."""
    dev_split: str
    dev: WeightChoice


class TrainingBudget(_Part):
    """What a system was trained on.

    The backbone's warm-up, the bi-encoder's training where the teacher starts from it, and the
    teacher's where it is distilled, come on top.
    """

    steps: int = Field(ge=1)
    """Steps done, all phases together."""
    queries: int = Field(ge=1)
    """Training queries met, each as often as it was."""
    pairs: int = Field(ge=1)
    """Pairs of a training query and a document drawn for it."""
    seconds: float | None = Field(None, ge=0)
    """Of its stage's last real run on this machine, dev metrics included."""


class Benchmark(_Part):
    """All of `benchmark.json`."""

    schema_: Literal[1] = Field(alias="schema")
    dataset: DatasetFacts
    splits: dict[str, SplitResult] = Field(min_length=1)
    exactness: Exactness
    seconds: dict[str, float]
    """Stage → duration of its last real run on this machine."""
    training: dict[str, TrainingBudget] | None = None
    """System → budget, of the systems that were trained (a zero-shot teacher was not)."""
    response_time: list[ResponseTime] | None = None
    seed: int | None = None
    """Of the run (`runtime.seed`)."""
    calibration: CalibrationResult | None = None
    two_stage: TwoStageResult | None = None
    hybrid: HybridResult | None = None
    teacher_candidates: int | None = Field(None, ge=1)
    """Set when the pool was too large for rerankers: they ranked the student's best this many."""


def validated(benchmark: dict[str, Any]) -> dict[str, Any]:
    """Round values to six digits and check them against the contract.

    Raises:
        pydantic.ValidationError: a system, metric or field is missing, unknown or out of range.
    """
    model = Benchmark.model_validate(_rounded(benchmark))
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value
