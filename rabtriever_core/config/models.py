"""Settings of runtime, backbone and prompt."""

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from rabtriever_core.config.component import Component, Operating, Shown
from rabtriever_core.config.layers import Layers
from rabtriever_core.config.schedule import ScheduleConfig


class RuntimeConfig(Component):
    """Where and how models are computed."""

    seed: Shown[int] = 17
    """Every random choice is derived from this number."""
    threads: Operating[int | None] = Field(None, ge=1)
    """CPU threads of torch; one per core when null. Set it to compare runs bit by bit."""
    device: Shown[Operating[Literal["auto", "cpu", "cuda", "mps"]]] = "auto"
    """Where models run: auto (a GPU when there is one), cpu, cuda or mps."""
    precision: Shown[Literal["auto", "float32", "tf32", "mixed", "bfloat16"]] = "auto"
    """Number format of the models: auto, float32, tf32, mixed or bfloat16. `tf32` keeps weights in
    float32 and lets an NVIDIA GPU round the factors of matrix products to 10 bits of mantissa;
    `mixed` is tf32 with language models that multiply in bfloat16 during training. `auto` is mixed
    where this machine is clearly faster so, and float32 elsewhere; it measures one product. Stored
    vectors are always float32."""
    batch_multiple: Operating[int] = Field(1, ge=1)
    """Multiplies how many texts and pairs are read at once outside training. Raise it where a small
    model leaves the GPU idle; memory grows in proportion."""

    report_to: Operating[tuple[Literal["tensorboard", "wandb"], ...]] = ()
    """Who is told of a training while it runs, by transformers: tensorboard or wandb. Each has to
    be installed, and takes its own variables (TENSORBOARD_LOGGING_DIR, WANDB_PROJECT)."""

    @property
    def weights_dtype(self) -> str:
        """Torch's name of the type that weights are held in."""
        return "bfloat16" if self.precision == "bfloat16" else "float32"


class LoraConfig(Component):
    """Low-rank adapters for pretrained backbones; a tiny backbone is always trained in full."""

    rank: int = Field(16, ge=1)
    """Rank of the weight update."""
    alpha: int = Field(32, ge=1)
    """The update is scaled by alpha / rank."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout on the adapters' input."""
    target_modules: str | tuple[str, ...] = "all-linear"
    """Which layers get an adapter, by peft's names."""


class TinyConfig(Component):
    """A small causal language model, trained from scratch on corpus and training queries."""

    architecture: Literal["llama", "qwen3"] = "llama"
    """Model family in `transformers`."""
    vocabulary_size: int = Field(4096, ge=300)
    """Largest size of the byte-level BPE vocabulary."""
    hidden_size: int = Field(128, ge=8)
    """Width of the model, and so the length of its document vectors."""
    layers: int = Field(4, ge=1)
    """Number of transformer blocks."""
    heads: int = Field(4, ge=1)
    """Number of attention heads."""
    key_value_heads: int = Field(2, ge=1)
    """Number of key-value heads (grouped-query attention)."""
    head_size: int | None = Field(None, ge=2, multiple_of=2)
    """Width of an attention head; hidden_size / heads when null."""
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
    """The causal language model that teacher, student and bi-encoder are built on."""

    model: Shown[str] = "tiny"
    """tiny (trained here from scratch), smollm2 (`rabtriever fetch-model smollm2`), a Hugging Face
    hub id, a model folder, or a .gguf file; relative paths are relative to the workspace."""
    layers: Shown[Layers | None] = None
    """How many layers of a pretrained model are kept, the first ones; null keeps all. A list names
    them, counted from 0 ([0, 1, 28, 29]); `rabtriever lab layer-importance` says which matter."""
    freeze_embeddings: bool = True
    """Train all weights of a pretrained teacher but its table of token vectors, where `lora` is
    null."""
    tiny: TinyConfig = TinyConfig()
    """Shape of the tiny backbone."""
    lora: LoraConfig | None = LoraConfig()
    """Adapters for a pretrained backbone; null trains all of its weights."""
    warmup: ScheduleConfig = ScheduleConfig(
        epochs=4,
        min_steps=200,
        max_steps=600,
        queries_per_step=32,
        learning_rate=2e-3,
        token_dropout=0.15,
    )
    """How long a tiny backbone is warmed up, with a language modelling and a contrastive loss."""
    contrastive_weight: float = Field(1.0, ge=0)
    """Weight of the in-batch contrastive loss in the warm-up."""


TEMPLATES: Final = ("auto", "compact", "paper", "chat", "qwen3-reranker")
"""Ready templates."""


def _template(value: str) -> str:
    if value in TEMPLATES:
        return value
    pieces = re.split(r"\{(?:document|query)\}", value)
    once = all(value.count(place) == 1 for place in ("{document}", "{query}"))
    if not once or not all(piece.strip() for piece in pieces):
        raise ValueError(
            f"neither one of {', '.join(TEMPLATES)}, nor a template of your own, which holds "
            "{document} and {query} once each, with text before, between and after"
        )
    return value


class PromptConfig(Component):
    """The prompt that document and query are put into, and its two answers."""

    template: Annotated[str, AfterValidator(_template)] = "auto"
    """Form of the prompt: auto, compact, paper, chat, qwen3-reranker, or a text of your own.
    `paper` spells the question out; `chat` puts it into the tokenizer's chat template, for
    instruction-tuned backbones; `compact` consists of special tokens. `auto` takes chat if the
    tokenizer has a chat template, compact if it has the special tokens (tiny backbones, and those
    of `rabtriever lab pretrain`), and paper otherwise. These put the document first.
    `qwen3-reranker` is the prompt of the models of that name, query first, answered yes or no. Your
    own text holds {document} and {query}, either first, and {instruction} where you want it."""
    instruction: Shown[str] = "Judge whether the document is an appropriate reply to the query."
    """Your task in a sentence: the system message of chat models, <Instruct> of `qwen3-reranker`;
    may be empty."""
    question: str = (
        "Can Query be appropriately replied to with Document? "
        "If so choose {true}, otherwise {false}."
    )
    """The yes-or-no question of the paper and chat templates. {true} and {false} stand for the
    answers."""
    true_answer: str = "T"
    """The positive answer in the paper and chat templates and your own; must be a single token."""
    false_answer: str = "F"
    """The negative answer in the paper and chat templates and your own; must be a single token."""
    max_document_tokens: Shown[int] = Field(128, ge=4)
    """Longer documents are cut at the end."""
    max_query_tokens: Shown[int] = Field(128, ge=4)
    """Longer queries are cut at the start. In a dialogue the last turn matters most."""
