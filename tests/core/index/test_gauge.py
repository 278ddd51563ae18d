"""The gauge keeps every margin when whole, and loses least of it when balanced and cut."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from rabtriever_core.config import GaugeConfig
from rabtriever_core.config.gauge import GaugeMethod
from rabtriever_core.errors import ArtifactError, ConfigError, VectorError
from rabtriever_core.index.gauge import GAUGE_FILE, Gauge

METHODS: tuple[GaugeMethod, ...] = ("none", "center", "pca", "whiten", "balanced")


def clustered(rows: int, dimension: int, seed: int) -> np.ndarray:
    """Clusters far from the origin, some dimensions much larger than others, as LM states are."""
    fixed = np.random.default_rng(0)
    centres = 40 + fixed.standard_normal((12, dimension)) * fixed.gamma(1, 3, dimension)
    rng = np.random.default_rng(seed)
    noise = 0.3 * rng.standard_normal((rows, dimension))
    return (centres[rng.integers(0, 12, rows)] + noise).astype(np.float32)


def asked(rows: int, dimension: int, seed: int) -> np.ndarray:
    """Queries that look along a few directions, and not where documents differ most."""
    looks = np.random.default_rng(1).standard_normal((dimension // 2, dimension))
    weights = np.random.default_rng(seed).standard_normal((rows, dimension // 2))
    return (weights @ looks).astype(np.float32)


def _margins(gauge: Gauge, documents: np.ndarray, queries: np.ndarray) -> np.ndarray:
    vectors, offsets = gauge.queries(queries)
    stored = gauge.documents(documents)
    assert vectors.dtype == stored.dtype == offsets.dtype == np.float32
    assert vectors.shape[1] == stored.shape[1] == gauge.dimension
    return vectors.astype(np.float64) @ stored.T + offsets[:, None]


@settings(max_examples=60, deadline=None)
@given(
    method=st.sampled_from(METHODS),
    spread=st.booleans(),
    equal_norms=st.booleans(),
    rows=st.integers(1, 40),
    fit=st.integers(1, 30),
    dimension=st.integers(2, 24),
    rank=st.integers(0, 24),
)
def test_whole_gauges_keep_every_margin(
    method: GaugeMethod,
    spread: bool,
    equal_norms: bool,
    rows: int,
    fit: int,
    dimension: int,
    rank: int,
) -> None:
    # Fewer documents than dimensions, equal documents (rank 0), a single one: all must do.
    rng = np.random.default_rng(rows * 100 + dimension)
    basis = rng.standard_normal((rank, dimension))
    documents = (5 + rng.standard_normal((rows, rank)) @ basis).astype(np.float32)
    queries = rng.standard_normal((fit, dimension)).astype(np.float32)
    config = GaugeConfig(method=method, spread=spread, equal_norms=equal_norms)
    gauge = Gauge.fit(config, documents, queries)
    assert gauge.is_exact
    others = rng.standard_normal((7, dimension)).astype(np.float32)
    exact = others.astype(np.float64) @ documents.T
    sizes = np.linalg.norm(others, axis=1)[:, None] * np.linalg.norm(documents, axis=1)
    assert np.all(np.abs(_margins(gauge, documents, others) - exact) <= 1e-5 * sizes + 1e-6)


def test_none_changes_no_bit() -> None:
    documents, queries = clustered(30, 8, 1), asked(5, 8, 2)
    gauge = Gauge.fit(GaugeConfig(), documents)
    assert gauge.documents(documents) is documents
    vectors, offsets = gauge.queries(queries)
    assert vectors is queries
    assert not offsets.any()


def _root_mean_square(method: GaugeMethod, kept: int) -> float:
    documents, queries = clustered(400, 32, 1), asked(200, 32, 2)
    config = GaugeConfig(method=method, dimensions=kept, equal_norms=False)
    gauge = Gauge.fit(config, documents, queries)
    assert not gauge.is_exact
    unseen = asked(100, 32, 3)
    error = _margins(gauge, documents, unseen) - unseen.astype(np.float64) @ documents.T
    # Centred documents leave no bias behind, whatever was dropped.
    assert np.all(np.abs(error.mean(axis=1)) < 1e-3 * np.abs(error).max() + 1e-4)
    return float(np.sqrt(np.mean(np.square(error))))


def test_balanced_loses_less_than_pca_on_unseen_queries() -> None:
    for kept in (4, 8, 12):
        assert _root_mean_square("balanced", kept) < 0.8 * _root_mean_square("pca", kept)
    # Queries span 16 of 32 dimensions: 16 are enough, if they are the right ones.
    assert _root_mean_square("balanced", 16) < 0.05 * _root_mean_square("pca", 16)


def test_balanced_gives_both_sides_the_same_moment() -> None:
    documents, queries = clustered(500, 12, 1), asked(300, 12, 2)
    gauge = Gauge.fit(GaugeConfig(method="balanced", equal_norms=False), documents, queries)
    stored = gauge.documents(documents).astype(np.float64)
    vectors = gauge.queries(queries)[0].astype(np.float64)
    ours, theirs = stored.T @ stored / len(stored), vectors.T @ vectors / len(vectors)
    np.testing.assert_allclose(np.diag(ours)[:4], np.diag(theirs)[:4], rtol=0.05)
    assert np.all(np.diff(np.diag(ours)) <= 1e-3 * ours[0, 0])


def test_equal_norms_and_spread() -> None:
    documents, queries = clustered(300, 16, 1), asked(50, 16, 2)
    plain = Gauge.fit(GaugeConfig(method="pca", equal_norms=False), documents)
    equal = Gauge.fit(GaugeConfig(method="pca"), documents)
    lengths = [np.linalg.norm(g.documents(documents), axis=1) for g in (plain, equal)]
    assert equal.dimension == plain.dimension + 1 == 17
    assert np.ptp(lengths[1]) < 0.2 * np.ptp(lengths[0])
    np.testing.assert_allclose(np.quantile(lengths[1], [0, 0.98]), equal.norm, rtol=1e-5)
    rotated = Gauge.fit(GaugeConfig(method="pca", spread=True), documents)
    assert np.ptp(rotated.documents(documents).std(axis=0)) < np.ptp(
        equal.documents(documents).std(axis=0)
    )
    assert (
        Gauge.fit(
            GaugeConfig(method="balanced", dimensions=5, spread=True), documents, queries
        ).dimension
        == 5
    )


@pytest.mark.parametrize("method", METHODS)
def test_round_trip(tmp_path: Path, method: GaugeMethod) -> None:
    documents, queries = clustered(50, 8, 1), asked(20, 8, 2)
    gauge = Gauge.fit(GaugeConfig(method=method, spread=method == "pca"), documents, queries)
    gauge.save(tmp_path)
    loaded = Gauge.load(tmp_path)
    assert loaded.fingerprint == gauge.fingerprint
    np.testing.assert_array_equal(loaded.documents(documents), gauge.documents(documents))
    for ours, theirs in zip(loaded.queries(queries), gauge.queries(queries), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_fingerprints_tell_gauges_apart() -> None:
    documents, queries = clustered(50, 8, 1), asked(20, 8, 2)
    configs = [GaugeConfig(method=method) for method in METHODS]
    configs.append(GaugeConfig(method="pca", dimensions=4))
    found = {Gauge.fit(config, documents, queries).fingerprint for config in configs}
    found.add(Gauge.fit(configs[2], documents[1:]).fingerprint)
    assert len(found) == len(configs) + 1


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"no .*gauge\.safetensors"):
        Gauge.load(tmp_path)
    (tmp_path / GAUGE_FILE).write_bytes(b"not a gauge")
    with pytest.raises(ArtifactError, match="damaged"):
        Gauge.load(tmp_path)


def test_bad_input() -> None:
    documents, queries = clustered(20, 8, 1), asked(20, 8, 2)
    with pytest.raises(ConfigError, match=r"dimensions = 10, but the student's vectors have 8"):
        Gauge.fit(GaugeConfig(method="pca", dimensions=10), documents)
    with pytest.raises(ValueError, match="fitted on queries"):
        Gauge.fit(GaugeConfig(method="balanced"), documents)
    with pytest.raises(VectorError, match="document vectors must be"):
        Gauge.fit(GaugeConfig(), documents[:0])
    gauge = Gauge.fit(GaugeConfig(method="pca"), documents)
    with pytest.raises(VectorError, match="4 dimensions, the gauge was fitted on 8"):
        gauge.queries(queries[:, :4])
    for value in (np.nan, np.inf):
        broken = documents.copy()
        broken[3, 2] = value
        for use in (
            lambda rows: Gauge.fit(GaugeConfig(), rows),
            lambda rows: Gauge.fit(GaugeConfig(method="balanced"), documents, rows),
            gauge.documents,
            gauge.queries,
        ):
            with pytest.raises(VectorError, match="number 3 holds NaN or Inf"):
                use(broken)
    with pytest.raises(ValidationError, match="needs a method that orders them"):
        GaugeConfig(method="center", dimensions=4)
