"""How much of document and query fits what a backbone can read at once."""

from rabtriever_core.errors import ModelError
from rabtriever_core.models.backbone import Backbone


def check_context(backbone: Backbone) -> None:
    """Check that the longest document and query, as they are cut, fit the context together.

    Longer texts are cut to `prompt.max_document_tokens` and `prompt.max_query_tokens`; a prompt
    that is longer than the context would be read at positions the model was never trained for.

    Raises:
        ModelError: they do not fit.
    """
    config, spec = backbone.model.config.get_text_config(), backbone.prompt.spec
    # Absent where positions are not numbered.
    limit = getattr(config, "max_position_embeddings", None)
    fixed = (
        spec.start,
        spec.document_prefix,
        spec.document_suffix,
        spec.query_prefix,
        spec.answer_suffix,
    )
    template = sum(map(len, fixed))
    tokens = spec.max_document_tokens + spec.max_query_tokens + template
    if limit is not None and tokens > limit:
        raise ModelError(
            f"prompt.max_document_tokens {spec.max_document_tokens}, prompt.max_query_tokens "
            f"{spec.max_query_tokens} and the template's {template} make {tokens} tokens, but the "
            f"backbone reads at most {limit}: lower one of the two, or take a backbone with a "
            "longer context (backbone.tiny.max_positions)"
        )
