"""Settings of runtime, backbone and prompt."""

from typing import Literal

from pydantic import Field, model_validator

from rabtriever_core.config.component import Component
from rabtriever_core.config.schedule import ScheduleConfig


class RuntimeConfig(Component):
    """Where and how computations run."""

    seed: int = 17
    """Every random choice derives from it."""
    threads: int | None = Field(None, ge=1)
    """CPU threads of torch; the default is one per core. Fix it to compare runs bit by bit."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """`auto` takes an accelerator when there is one."""
    precision: Literal["float32", "tf32", "mixed", "bfloat16"] = "float32"
    """Of model weights and activations; stored vectors are always float32. `tf32` keeps weights in
    float32 and lets an NVIDIA GPU round the factors of its matrix products to 10 bits; `mixed` is
    tf32 whose language models multiply in bfloat16 while they are trained."""
    batch_multiple: int = Field(1, ge=1)
    """Times as many texts and pairs are read at once outside training, for a model that leaves a
    GPU idle; costs memory in proportion."""

    @property
    def weights_dtype(self) -> str:
        """Torch's name of the type that weights are held in."""
        return "bfloat16" if self.precision == "bfloat16" else "float32"


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
    head_size: int | None = Field(None, ge=2, multiple_of=2)
    """Width of an attention head; hidden_size / heads when unset."""
    intermediate_size: int = Field(384, ge=8)
    """Width of the feed-forward layers."""
    max_positions: int = Field(1024, ge=64)
    """Longest prompt in tokens."""

    @model_validator(mode="after")
    def _heads_divide(self) -> "TinyConfig":
        no_width = self.head_size is None and self.hidden_size % self.heads
        if no_width or self.heads % self.key_value_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} must be a multiple of heads {self.heads} (or "
                f"head_size be set), and heads of key_value_heads {self.key_value_heads}"
            )
        return self


class BackboneConfig(Component):
    """The causal language model under teacher, student and bi-encoder."""

    model: str = "tiny"
    """`tiny` (trained here from scratch), a Hugging Face hub id, or a local model folder."""
    tiny: TinyConfig = TinyConfig()
    """Shape of the tiny model."""
    lora: LoraConfig | None = LoraConfig()
    """Adapters for a backbone that is not tiny; null trains all its weights."""
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

    template: Literal["auto", "compact", "paper", "chat"] = "auto"
    """`paper` spells the question out; `chat` does so inside the tokenizer's chat template, for
    instruction-tuned backbones; `compact` is made of special tokens; `auto` takes chat where the
    tokenizer has a chat template, compact where it has the special tokens (tiny backbones, and
    those of `rabtriever lab pretrain`), paper otherwise."""
    instruction: str = "Judge whether the document is an appropriate reply to the query."
    """System message of the chat template; none when empty. Describe your task here."""
    question: str = (
        "Can Query be appropriately replied to with Document? "
        "If so choose {true}, otherwise {false}."
    )
    """The binary question of the paper and chat templates."""
    true_answer: str = "T"
    """Text of the positive answer in the paper and chat templates; must be one token."""
    false_answer: str = "F"
    """Text of the negative answer in the paper and chat templates; must be one token."""
    max_document_tokens: int = Field(128, ge=4)
    """Longer documents are cut at the end."""
    max_query_tokens: int = Field(128, ge=4)
    """Longer queries are cut at the start: the last turn of a dialogue matters most."""
