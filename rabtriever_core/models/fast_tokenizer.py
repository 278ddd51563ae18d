"""What computes a fast tokenizer: a `tokenizers.Tokenizer`, which needs no transformers."""

from typing import Any

from rabtriever_core.errors import ModelError


def backend_of(tokenizer: Any, instead: str) -> Any:
    """A copy of what computes a fast tokenizer: of `tokenizers`, without padding or truncation.

    Args:
        tokenizer: of `transformers`.
        instead: what to do where there is none.

    Raises:
        ModelError: the tokenizer has no fast form.
    """
    from tokenizers import Tokenizer

    fast = getattr(tokenizer, "backend_tokenizer", None)
    if fast is None:
        raise ModelError(
            f"the tokenizer {type(tokenizer).__name__} has no fast form, which an export needs: "
            f"{instead}"
        )
    copy = Tokenizer.from_str(fast.to_str())
    copy.no_padding()
    copy.no_truncation()
    return copy
