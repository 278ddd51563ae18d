"""The causal language model under everything: pretrained, or tiny and made on the spot."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rabtriever_core.config import BackboneConfig, PromptConfig, RuntimeConfig
from rabtriever_core.errors import ModelError
from rabtriever_core.models.precision import rounds_products
from rabtriever_core.models.pretrained import load_pretrained
from rabtriever_core.models.prompt import Prompt
from rabtriever_core.models.templates import SPECIAL_TOKENS, make_prompt
from rabtriever_core.models.text_encoder import TextEncoder

if TYPE_CHECKING:
    import torch


class Backbone(TextEncoder):
    """A causal language model with its prompt; the blocks alone read a text.

    Right padding needs no attention mask: in a causal model no real token sees the padding.
    """

    prompt: Prompt

    @property
    def window(self) -> int | None:
        """How many tokens back its sliding layers look; None where all layers see everything."""
        config = self.model.config.get_text_config()
        kinds = getattr(config, "layer_types", None)
        if kinds is not None and "sliding_attention" not in kinds:
            return None
        return getattr(config, "sliding_window", None)

    @property
    def body(self) -> Any:
        """The blocks under the head."""
        return self.model.get_decoder()

    def read(self, **inputs: Any) -> Any:
        """What the blocks make of token ids: final-norm states and what else is asked for."""
        import torch

        body = self.body
        if not (body.training and self.mixed_precision):
            return body(**inputs)
        # Not left to Trainer, which rounds what goes through the whole model's `forward`.
        with torch.autocast(self.device.type, torch.bfloat16):
            return body(**inputs)

    def answer_direction(self) -> "torch.Tensor":
        """w_T − w_F, the head's rows of the two answers: shape [d]."""
        weight = self.model.get_output_embeddings().weight
        direction: torch.Tensor = (
            weight[self.prompt.spec.true_id] - weight[self.prompt.spec.false_id]
        )
        return direction.float()

    def freeze_embeddings(self) -> None:
        """Keep the table of token vectors out of training, and the head where it is tied to it."""
        for parameter in self.model.get_input_embeddings().parameters():
            parameter.requires_grad = False

    def scale_answers(self, factor: float) -> None:
        """Multiply w_T − w_F by a factor; the mean of the two rows of the head stays."""
        import torch

        spec, weight = self.prompt.spec, self.model.get_output_embeddings().weight
        rows = [spec.true_id, spec.false_id]
        with torch.no_grad():
            mean = weight[rows].mean(dim=0)
            weight[rows] = mean + factor * (weight[rows] - mean)

    def last_states_of_layers(
        self, rows: Sequence[Sequence[int]], layers: Sequence[int], width: int = 0
    ) -> list["torch.Tensor"]:
        """States at the last token of every row: the final-norm one, then of the layers given."""
        ids, lengths = self.pad(rows, width)
        read = self.read(input_ids=ids, use_cache=False, output_hidden_states=bool(layers))
        return states_of_layers(read, lengths, layers)

    def padded_states(self, ids: "torch.Tensor", lengths: "torch.Tensor") -> "torch.Tensor":
        """Final-norm state after `lengths` tokens of right-padded rows [n, l]: [n, d]."""
        states = self.read(input_ids=ids, use_cache=False).last_hidden_state
        return last_tokens(states, lengths)

    def save(self, folder: Path) -> None:
        """Write model (safetensors), tokenizer and prompt."""
        self.model.save_pretrained(folder)
        self.prompt.save(folder)

    @classmethod
    def load(cls, folder: Path, runtime: RuntimeConfig) -> "Backbone":
        """Read what `save` wrote, ready for inference."""
        import torch
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, dtype=getattr(torch, runtime.weights_dtype)
        )
        model = model.to(pick_device(runtime)).eval()
        return cls(
            model,
            Prompt.load(folder),
            runtime=runtime,
            batch_multiple=runtime.batch_multiple,
        )


def states_of_layers(
    read: Any, lengths: "torch.Tensor", layers: Sequence[int]
) -> list["torch.Tensor"]:
    """Of what `Backbone.read` gave: states after `lengths` tokens of every row, [n, d] each.

    The final norm's first, then those of the layers given.
    """
    states = [read.last_hidden_state, *(read.hidden_states[layer] for layer in layers)]
    return [last_tokens(state, lengths) for state in states]


def last_tokens(states: "torch.Tensor", lengths: "torch.Tensor") -> "torch.Tensor":
    """The state at the last of every row's `lengths` tokens, in float32: [n, l, d] → [n, d]."""
    import torch

    return states[torch.arange(states.shape[0], device=states.device), lengths - 1].float()


def pick_device(runtime: RuntimeConfig) -> str:
    """The device to compute on; also sets CPU threads, how products round, how attention is done.

    Raises:
        ModelError: the wanted accelerator is not there.
    """
    import torch

    if runtime.threads is not None:
        torch.set_num_threads(runtime.threads)
    # cuDNN's attention plans anew for every shape that it has not seen, which takes longer than a
    # step does, and a batch is as wide as its longest text.
    torch.backends.cuda.enable_cudnn_sdp(False)
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    device: str = runtime.device
    if device == "auto":
        device = next(name for name, there in available.items() if there)
    if not available[device]:
        raise ModelError(f"runtime.device is {device!r}, but torch finds none: set `auto`")
    rounded = rounds_products(runtime, device)
    torch.set_float32_matmul_precision("high" if rounded else "highest")
    return device


def tiny_backbone(
    config: BackboneConfig, prompt: PromptConfig, texts: Iterable[str], seed: int
) -> Backbone:
    """A small model with random weights and a BPE tokenizer trained on `texts`."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

    tiny = config.tiny
    tokenizer = train_tokenizer(texts, tiny.vocabulary_size)
    families = {
        "llama": (LlamaConfig, LlamaForCausalLM),
        "qwen3": (Qwen3Config, Qwen3ForCausalLM),
    }
    config_class, model_class = families[tiny.architecture]
    torch.manual_seed(seed)
    model = model_class(
        config_class(
            vocab_size=len(tokenizer),
            hidden_size=tiny.hidden_size,
            num_hidden_layers=tiny.layers,
            num_attention_heads=tiny.heads,
            num_key_value_heads=tiny.key_value_heads,
            head_dim=tiny.head_size or tiny.hidden_size // tiny.heads,
            intermediate_size=tiny.intermediate_size,
            max_position_embeddings=tiny.max_positions,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=None,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    return Backbone(model, make_prompt(tokenizer, prompt))


def train_tokenizer(texts: Iterable[str], vocabulary_size: int) -> Any:
    """A lower-casing byte-level BPE tokenizer: nothing is unknown, small data goes further."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        min_frequency=2,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=SPECIAL_TOKENS[0],
        additional_special_tokens=list(SPECIAL_TOKENS[1:]),
    )


def pretrained_backbone(
    config: BackboneConfig, prompt: PromptConfig, runtime: RuntimeConfig, root: Path = Path()
) -> Backbone:
    """A model that was trained by others, from wherever `backbone.model` says.

    Args:
        config: which model, and how much of it.
        prompt: how it is asked.
        runtime: device, precision.
        root: the workspace, which relative paths are relative to.

    Raises:
        ModelError: it is not found, is no causal language model, or does not fit the method.
    """
    model, tokenizer = load_pretrained(config, runtime.weights_dtype, root)
    made = make_prompt(tokenizer, prompt)
    if made.spec.pad_id >= model.get_input_embeddings().weight.shape[0]:
        # Added to the tokenizer alone, as some do for training; what pads is never looked at.
        made = Prompt(replace(made.spec, pad_id=0), tokenizer)
    backbone = Backbone(model.to(pick_device(runtime)).eval(), made, runtime=runtime)
    where = f"backbone.model = {config.model!r}"
    check_vocabulary(backbone, where)
    check_linear_head(backbone, where)
    return backbone


def check_vocabulary(backbone: Backbone, where: str) -> None:
    """Check that every token which text or prompt may come to has a vector.

    Raises:
        ModelError: one has none.
    """
    tokenizer, spec = backbone.prompt.tokenizer, backbone.prompt.spec
    rows = backbone.model.get_input_embeddings().weight.shape[0]
    # Texts are never read as special tokens, and some tokenizers have ones that no model knows.
    special = {id_ for id_, token in tokenizer.added_tokens_decoder.items() if token.special}
    used = set(tokenizer.get_vocab().values()) - special
    used |= {*backbone.prompt.template_ids, spec.true_id, spec.false_id}
    if max(used) >= rows:
        raise ModelError(
            f"{where}: its tokenizer has tokens up to number {max(used)}, but its table of token "
            f"vectors {rows} rows: they do not belong together, or tokens were added to one of them"
        )


def check_linear_head(backbone: Backbone, where: str) -> None:
    """Check that the T − F logit is ⟨w_T − w_F, e_T⟩, on which the vector index rests.

    Raises:
        ModelError: the head has a bias, scales or caps its logits.
    """
    import torch

    spec = backbone.prompt.spec
    rows = [[*spec.start, *spec.query_prefix, *spec.answer_suffix]]
    with torch.inference_mode():
        ids, _ = backbone.pad(rows)
        logits = backbone.model(input_ids=ids).logits[0, -1].float()
        expected = logits[spec.true_id] - logits[spec.false_id]
        actual = backbone.last_states(rows)[0] @ backbone.answer_direction()
    tolerance = rounded = 1e-3
    if backbone.model.dtype == torch.bfloat16:
        # Each logit is rounded before they are subtracted, and may be far larger than that.
        tolerance = 5e-2
        largest = float(logits[[spec.true_id, spec.false_id]].abs().max())
        rounded = max(tolerance, torch.finfo(torch.bfloat16).eps * largest)
    if not torch.isclose(actual, expected, rtol=tolerance, atol=rounded):
        raise ModelError(
            f"{where}: its head is not plainly linear (T − F logit {expected:.4f}, dot product "
            f"{actual:.4f}), so its ranking cannot be a dot product: choose another backbone"
        )
