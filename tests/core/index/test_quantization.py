"""Collections and searches with quantized vectors, as a server is asked for them."""

import logging
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from qdrant_client import QdrantClient, models

from rabtriever_core.config import IndexConfig
from rabtriever_core.data.dataset import Document
from rabtriever_core.index.collection import build_collection
from rabtriever_core.index.quantization import (
    quantization_params,
    search_params,
    warn_of_local_mode,
)


def test_exact_searches_and_quantized_vectors_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="set exact to false as well"):
        IndexConfig(quantization="int8")
    assert IndexConfig(quantization="int8", exact=False).rescore


def test_searches_follow_the_settings() -> None:
    assert search_params(IndexConfig()) == models.SearchParams(exact=True)
    assert search_params(IndexConfig(exact=False)) == models.SearchParams(exact=False)
    index = IndexConfig(exact=False, quantization="binary", oversampling=8, rescore=True)
    asked = search_params(index).quantization
    assert asked == models.QuantizationSearchParams(rescore=True, oversampling=8)
    assert search_params(index, exact=True) == models.SearchParams(exact=True)


@pytest.mark.parametrize(
    ("quantization", "kind"),
    [("int8", models.ScalarQuantization), ("binary", models.BinaryQuantization)],
)
def test_collections_are_created_with_quantized_vectors_in_memory(
    client: QdrantClient,
    documents: list[Document],
    vectors: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    quantization: str,
    kind: type,
) -> None:
    asked: dict[str, Any] = {}
    create = client.create_collection

    def recorded(*args: Any, **kwargs: Any) -> bool:
        asked.update(kwargs)
        return create(*args, **kwargs)

    monkeypatch.setattr(client, "create_collection", recorded)
    build_collection(client, "demo", "a" * 12, documents, vectors, {}, 50, quantization)
    config = asked["quantization_config"]
    assert isinstance(config, kind)
    assert next(iter(dict(config).values())).always_ram
    assert asked["vectors_config"].on_disk
    assert client.count("demo__" + "a" * 12).count == len(documents)
    assert quantization_params("none") == {}


def test_local_mode_says_once_what_it_ignores(caplog: pytest.LogCaptureFixture) -> None:
    warn_of_local_mode.cache_clear()
    with caplog.at_level(logging.WARNING, "rabtriever_core"):
        warn_of_local_mode("none", True)
        assert not caplog.records
        for _ in range(3):
            warn_of_local_mode("int8", False)
    (record,) = caplog.records
    assert "index.quantization = int8 and index.exact = false only takes" in record.getMessage()
