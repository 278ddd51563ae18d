"""Low-rank adapters (peft): put on, saved apart, merged."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rabtriever_core.config import LoraConfig
from rabtriever_core.models.backbone import Backbone
from rabtriever_core.models.text_encoder import TextEncoder

if TYPE_CHECKING:
    import torch


def with_adapters(encoder: TextEncoder, lora: LoraConfig, seed: int) -> "torch.nn.Module":
    """Put adapters into the layers of what reads texts, in place: it runs through them.

    Only the adapters are trainable afterwards. `merge_adapters` takes them off again.
    """
    import torch
    from peft import LoraConfig as PeftConfig
    from peft import get_peft_model

    torch.manual_seed(seed)
    targets = lora.target_modules
    adapted: torch.nn.Module = get_peft_model(
        encoder.model,
        PeftConfig(
            r=lora.rank,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            target_modules=targets if isinstance(targets, str) else list(targets),
            task_type="CAUSAL_LM" if isinstance(encoder, Backbone) else "FEATURE_EXTRACTION",
        ),
    )
    return adapted


def merge_adapters(encoder: TextEncoder, adapted: Any) -> None:
    """Add the adapters to the weights they adapt; it is a plain model again."""
    encoder.model = adapted.merge_and_unload()


def load_adapters(encoder: TextEncoder, folder: Path) -> None:
    """Merge adapters that were saved by `adapted.save_pretrained(folder)`."""
    from peft import PeftModel

    merge_adapters(encoder, PeftModel.from_pretrained(encoder.model, folder))


@contextmanager
def without_adapters(adapted: Any) -> Iterator[None]:
    """The model as it was before its adapters: a frozen reference that costs no second copy."""
    with adapted.disable_adapter():
        yield
