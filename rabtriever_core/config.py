"""Every setting: one frozen, validated model per component, read from `params.yaml`.

Precedence: flags (`--set teacher.epochs=3`) over environment (`RABTRIEVER_TEACHER__EPOCHS=3`) over
`params.yaml` over the defaults below.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from rabtriever_core.errors import ConfigError


class Component(BaseModel):
    """Base of all component settings: immutable, and unknown names are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class DatasetConfig(Component):
    """Which data set the pipeline reads."""

    name: str = Field("demo", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Names the Qdrant alias and the report."""
    folder: Path = Path("data/demo")
    """BEIR layout (corpus.jsonl, queries.jsonl, qrels/*.tsv); relative to the workspace."""
    demo: bool = True
    """Write the bundled demo set into `folder` when it is not there yet."""
    train_split: str = "train"
    """The qrels file the models learn from."""
    dev_split: str = "dev"
    """The qrels file choices are made on; every other split is for the benchmark alone."""


class ValidationConfig(Component):
    """What a data set must satisfy before anything is trained on it."""

    max_document_characters: int = Field(20_000, gt=0)
    """Longer documents are quarantined."""
    max_query_characters: int = Field(20_000, gt=0)
    """Longer queries are quarantined."""
    max_quarantined_share: float = Field(0.10, ge=0, le=1)
    """Above this share of quarantined rows in any file the chain stops."""
    min_documents: int = Field(2, ge=2)
    """Fewer documents leave nothing to rank."""
    min_train_queries: int = Field(20, ge=1)
    """Fewer judged training queries leave nothing to learn from."""
    labels: tuple[int, ...] = (0, 1, 2, 3)
    """Relevance labels allowed in qrels."""
    duplicate_queries: Literal["quarantine", "warn"] = "quarantine"
    """Same text and same labels twice in one split: drop the later one, or only count it."""


class RuntimeConfig(Component):
    """Where and how computations run."""

    seed: int = 17
    """Every random choice derives from it."""
    threads: int | None = Field(None, ge=1)
    """CPU threads of torch; the default is one per core. Fix it to compare runs bit by bit."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """`auto` takes an accelerator when there is one."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of model weights and activations; stored vectors are always float32."""


class LoraConfig(Component):
    """Low-rank adaptation of pretrained backbones (a tiny one is trained in full)."""

    rank: int = Field(16, ge=1)
    """Rank of the update."""
    alpha: int = Field(32, ge=1)
    """Scale of the update is alpha / rank."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout on the adapter's input."""
    target_modules: str | tuple[str, ...] = "all-linear"
    """Which layers get an adapter (peft's names)."""


class TinyConfig(Component):
    """A small causal language model trained from scratch on the corpus and training queries."""

    architecture: Literal["llama", "qwen3"] = "llama"
    """The `transformers` family it belongs to."""
    vocabulary_size: int = Field(4096, ge=300)
    """Upper bound of the BPE vocabulary (byte-level, so nothing is unknown)."""
    hidden_size: int = Field(128, ge=8)
    """Width, and so the dimension of the document vectors."""
    layers: int = Field(4, ge=1)
    """Transformer blocks."""
    heads: int = Field(4, ge=1)
    """Attention heads."""
    key_value_heads: int = Field(2, ge=1)
    """Key-value heads (grouped-query attention)."""
    intermediate_size: int = Field(384, ge=8)
    """Width of the feed-forward layers."""
    max_positions: int = Field(1024, ge=64)
    """Longest prompt in tokens."""

    @model_validator(mode="after")
    def _heads_divide(self) -> "TinyConfig":
        if self.hidden_size % self.heads or self.heads % self.key_value_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} must be a multiple of heads {self.heads}, "
                f"and heads of key_value_heads {self.key_value_heads}"
            )
        return self


class ScheduleConfig(Component):
    """How long and how fast a stage trains; steps follow from the data so that one file fits all.

    steps = clamp(epochs × training queries / queries_per_step, min_steps, max_steps)
    """

    epochs: float = Field(2.0, gt=0)
    """Passes over the training queries."""
    min_steps: int = Field(1, ge=1)
    """Lower bound of the steps, for small sets."""
    max_steps: int = Field(2000, ge=1)
    """Upper bound of the steps, for a bounded run time."""
    queries_per_step: int = Field(16, ge=1)
    """Queries in one optimizer step."""
    learning_rate: float = Field(1e-3, gt=0)
    """Peak learning rate (AdamW, linear warm-up, cosine decay)."""
    warmup_share: float = Field(0.05, ge=0, le=1)
    """Share of the steps over which the learning rate rises."""
    weight_decay: float = Field(0.01, ge=0)
    """AdamW weight decay."""
    token_dropout: float = Field(0.0, ge=0, lt=1)
    """Share of a text's tokens left out at random, so that a small model does not learn whole
    sentences by heart; 0 for pretrained backbones."""
    checkpoint_steps: int = Field(50, ge=10, multiple_of=10)
    """A killed run resumes from the last multiple of this; the loss is logged every 10 steps, so
    only a multiple of 10 resumes to the same loss curve."""

    @model_validator(mode="after")
    def _bounds_ordered(self) -> "ScheduleConfig":
        if self.min_steps > self.max_steps:
            raise ValueError(f"min_steps {self.min_steps} is above max_steps {self.max_steps}")
        return self

    def steps(self, queries: int) -> int:
        """Optimizer steps for this many training queries."""
        wanted = round(self.epochs * queries / self.queries_per_step)
        return max(self.min_steps, min(wanted, self.max_steps))


class BackboneConfig(Component):
    """The causal language model under teacher, student and bi-encoder."""

    model: str = "tiny"
    """`tiny` (trained here from scratch), a Hugging Face hub id, or a local model folder."""
    tiny: TinyConfig = TinyConfig()
    """Shape of the tiny model."""
    lora: LoraConfig = LoraConfig()
    """Adapters for a backbone that is not tiny."""
    warmup: ScheduleConfig = ScheduleConfig(
        epochs=4,
        min_steps=200,
        max_steps=600,
        queries_per_step=32,
        learning_rate=2e-3,
        token_dropout=0.15,
    )
    """Warm-up of a tiny backbone: language modelling and contrastive loss together."""
    contrastive_weight: float = Field(1.0, ge=0)
    """Weight of the in-batch contrastive loss in the warm-up."""


class PromptConfig(Component):
    """The document-first prompt and its two answers."""

    template: Literal["auto", "compact", "paper"] = "auto"
    """`paper` spells the question out; `compact` is made of special tokens; `auto` takes compact
    for a tiny backbone, paper otherwise."""
    question: str = (
        "Can Query be appropriately replied to with Document? "
        "If so choose {true}, otherwise {false}."
    )
    """The binary question of the paper template."""
    true_answer: str = "T"
    """Text of the positive answer in the paper template; must be one token."""
    false_answer: str = "F"
    """Text of the negative answer in the paper template; must be one token."""
    max_document_tokens: int = Field(128, ge=4)
    """Longer documents are cut at the end."""
    max_query_tokens: int = Field(128, ge=4)
    """Longer queries are cut at the start: the last turn of a dialogue matters most."""


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
    temperature: float = Field(0.05, gt=0)
    """Of the InfoNCE softmax over cosine similarities."""
    hard_negatives: int = Field(1, ge=0)
    """Mined documents added per query to the in-batch negatives."""
    mining_depth: int = Field(30, ge=1)
    """Hard negatives come from this many nearest documents of a query."""


class IndexConfig(Component):
    """The Qdrant collection that applications query."""

    url: str | None = None
    """Qdrant server; local mode in the workspace's `qdrant/` when unset. Environment:
    QDRANT_URL."""
    api_key: str | None = Field(None, exclude=True, repr=False)
    """Environment: QDRANT_API_KEY; never written anywhere."""
    collection: str | None = None
    """Alias that applications use; the data set's name when unset."""
    batch_size: int = Field(256, ge=1)
    """Points per upload request."""
    shard_documents: int = Field(4096, ge=1)
    """Documents per embedding shard; a killed embedding resumes after the last one."""
    canaries: int = Field(20, ge=1)
    """Dev queries whose ranking is compared before and after the alias switch."""
    keep_collections: int = Field(2, ge=1)
    """Physical collections kept, the served one included."""
    timeout_seconds: float = Field(30, gt=0)
    """Of one request to a server."""


class BenchmarkConfig(Component):
    """What is compared, and how."""

    max_queries: int | None = Field(None, ge=1)
    """Queries per split, a fixed sample; all when unset."""
    include_dev: bool = False
    """Benchmark the dev split as well, though choices were made on it."""
    dev_queries: int = Field(300, ge=1)
    """Dev queries that teacher, student and bi-encoder are measured on after training."""
    depth: int = Field(100, ge=10)
    """Ranking depth of every system."""
    permutations: int = Field(10_000, ge=100)
    """Resamples of the paired randomization test."""
    latency_queries: int = Field(30, ge=1)
    """Queries timed one at a time per system."""
    document_lengths: tuple[int, ...] = (16, 32, 64, 128, 256)
    """Document lengths in tokens for the response-time curve."""


class GatesConfig(Component):
    """Floors that the asset checks hold the models to."""

    teacher_mrr: float = Field(0.3, ge=0, le=1)
    """Teacher's MRR@10 on dev must reach this."""
    student_share: float = Field(0.9, ge=0, le=2)
    """Student's MRR@10 on dev over the teacher's must reach this."""
    top10_agreement: float = Field(1.0, ge=0, le=1)
    """Share of the top ten that index and model must agree on."""


class AutomationConfig(Component):
    """Schedules of the Dagster deployment; off unless switched on."""

    retrain_cron: str = "0 3 * * 1"
    """When the weekly retraining starts (UTC)."""
    retrain_enabled: bool = False
    """Switch the weekly retraining on."""
    max_retries: int = Field(1, ge=0)
    """Retries of a failed asset, with exponential back-off."""


class Settings(Component):
    """All components."""

    dataset: DatasetConfig = DatasetConfig()
    validation: ValidationConfig = ValidationConfig()
    runtime: RuntimeConfig = RuntimeConfig()
    backbone: BackboneConfig = BackboneConfig()
    prompt: PromptConfig = PromptConfig()
    teacher: TeacherConfig = TeacherConfig()
    student: StudentConfig = StudentConfig()
    bi_encoder: BiEncoderConfig = BiEncoderConfig()
    index: IndexConfig = IndexConfig()
    benchmark: BenchmarkConfig = BenchmarkConfig()
    gates: GatesConfig = GatesConfig()
    automation: AutomationConfig = AutomationConfig()


class _FileAndEnvironment(BaseSettings):
    """Nested values of params.yaml with the environment's laid over them, not yet validated."""

    model_config = SettingsConfigDict(
        extra="allow", env_prefix="RABTRIEVER_", env_nested_delimiter="__"
    )

    dataset: dict[str, Any] = {}
    validation: dict[str, Any] = {}
    runtime: dict[str, Any] = {}
    backbone: dict[str, Any] = {}
    prompt: dict[str, Any] = {}
    teacher: dict[str, Any] = {}
    student: dict[str, Any] = {}
    bi_encoder: dict[str, Any] = {}
    index: dict[str, Any] = {}
    benchmark: dict[str, Any] = {}
    gates: dict[str, Any] = {}
    automation: dict[str, Any] = {}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment over the file's values (passed as init arguments)."""
        return env_settings, init_settings


def load_settings(params: Path, overrides: tuple[str, ...] = ()) -> Settings:
    """Read `params.yaml`, then the environment, then `section.name=value` overrides.

    Raises:
        ConfigError: the file is missing or malformed, or a value is invalid; names the setting.
    """
    import os

    import yaml

    try:
        values = yaml.safe_load(params.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        raise ConfigError(f"no {params}: run `rabtriever init` in this folder first") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{params} is not valid YAML: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{params} must be a mapping of sections, got {type(values).__name__}")
    try:
        layered = _FileAndEnvironment(**values).model_dump()
        settings = Settings.model_validate(_override(layered, overrides))
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in e['loc'])} = {e.get('input')!r}: {e['msg']}"
            for e in error.errors()
        )
        raise ConfigError(f"invalid setting in {params} or environment: {problems}") from None
    server = {"url": os.environ.get("QDRANT_URL"), "api_key": os.environ.get("QDRANT_API_KEY")}
    given = {name: value for name, value in server.items() if value}
    return settings.model_copy(update={"index": settings.index.model_copy(update=given)})


def _override(values: dict[str, Any], overrides: tuple[str, ...]) -> dict[str, Any]:
    """Apply `a.b.c=value` (value in YAML) to nested settings."""
    import yaml

    for override in overrides:
        path, separator, text = override.partition("=")
        if not separator:
            raise ConfigError(f"--set {override!r}: expected section.name=value")
        *parents, name = path.split(".")
        target: Any = values
        for parent in parents:
            target = target.get(parent) if isinstance(target, dict) else None
        if not isinstance(target, dict):
            raise ConfigError(f"--set {override!r}: there is no setting {path!r}")
        target[name] = yaml.safe_load(text)
    return values
