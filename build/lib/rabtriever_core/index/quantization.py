"""Quantized vectors in Qdrant: how a collection is made, and how it is searched."""

import logging
from functools import cache
from typing import TYPE_CHECKING, Any

from rabtriever_core.config import IndexConfig

if TYPE_CHECKING:
    from qdrant_client.models import SearchParams

logger = logging.getLogger(__name__)


def quantization_params(quantization: str) -> dict[str, Any]:
    """Arguments of `create_collection`; none without quantization.

    Quantized vectors stay in memory, whatever else does not.
    """
    from qdrant_client import models

    if quantization == "none":
        return {}
    # `always_ram` rather than the newer `memory`: servers before 1.19 know only that.
    if quantization == "int8":
        scalar = models.ScalarQuantizationConfig(type=models.ScalarType.INT8, always_ram=True)
        return {"quantization_config": models.ScalarQuantization(scalar=scalar)}
    binary = models.BinaryQuantizationConfig(
        always_ram=True,
        # Documents in single bits, queries in eight: no byte more, and far better.
        query_encoding=models.BinaryQuantizationQueryEncoding.SCALAR8BITS,
    )
    return {"quantization_config": models.BinaryQuantization(binary=binary)}


def search_params(index: IndexConfig, *, exact: bool | None = None) -> "SearchParams":
    """How applications search; `exact` overrides the setting, for checks of what is stored."""
    from qdrant_client import models

    if index.exact if exact is None else exact:
        return models.SearchParams(exact=True)
    if index.quantization == "none":
        return models.SearchParams(exact=False)
    return models.SearchParams(
        exact=False,
        quantization=models.QuantizationSearchParams(
            rescore=index.rescore, oversampling=index.oversampling
        ),
    )


@cache
def warn_of_local_mode(quantization: str, exact: bool) -> None:
    """Say once in a process what local mode does not do."""
    ignored = [f"index.quantization = {quantization}"] if quantization != "none" else []
    ignored += [] if exact else ["index.exact = false"]
    if ignored:
        logger.warning(
            "Qdrant's local mode compares every query with every float32 vector: %s only takes "
            "effect on a server (QDRANT_URL)",
            " and ".join(ignored),
        )
