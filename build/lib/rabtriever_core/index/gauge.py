"""The gauge: the coordinates that document and query vectors are stored and searched in.

For any mean μ and invertible A, ⟨φ, e_D⟩ = ⟨A⁻ᵀφ, A(e_D − μ)⟩ + ⟨φ, μ⟩: the ranking stays, while an
index gets vectors that are centred, ordered by importance, and as short as one likes.

Centring alone makes an HNSW graph worse: the model's final norm gives all e_D nearly one length, so
that the graph's dot products order documents as distances do; e_D − μ has any length, and the
longest are everyone's neighbours. A dimension more, √(R² − ‖A(e_D − μ)‖²) in documents and 0 in
queries, changes no margin and makes lengths equal again (Bachrach et al., RecSys 2014).
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rabtriever_core.config.gauge import GaugeConfig, GaugeMethod
from rabtriever_core.errors import ArtifactError, ConfigError, VectorError
from rabtriever_core.models.arrays import Floats

Doubles = npt.NDArray[np.float64]

GAUGE_FILE = "gauge.safetensors"
_RIDGE = 1e-3
"""Share of the mean eigenvalue added to every direction before balancing: with fewer queries or
documents than dimensions some directions were never seen, which does not make them worthless."""
_FLOOR = 1e-8
"""Least eigenvalue whitening divides by, as a share of the largest: what lies below is noise."""
_NORM_QUANTILE = 0.99
"""Of the documents' norms: longer ones stay longer, or a single one would flatten the rest."""
_BLOCK = 8192
_REMEDY = "`rabtriever run document_embeddings --force` makes them anew"


@dataclass(frozen=True, eq=False)
class Gauge:
    """Maps from the student's vectors to those that are stored and searched.

    Fitted in float64 on the corpus (`balanced` also on training queries); vectors come out in
    float32. Where no dimension is dropped, vectors · documents + offset is the student's margin;
    otherwise the rest has mean zero over the corpus, since e_D − μ has.
    """

    method: GaugeMethod
    mean: Doubles
    """μ [d]."""
    document_map: Doubles | None
    """A, its leading rows where dimensions were dropped; None for the identity."""
    query_map: Doubles | None
    """What φ is multiplied with [k, d]: A⁻ᵀ, zero in the dimension of norms, rotated."""
    norm: float | None
    """R; None without the dimension of norms."""
    rotation: Doubles | None
    """Applied last [k, k]; None without."""
    kept: int
    """Dimensions of the student's space that remain."""
    reach: float
    """Largest magnitude that documents have both above and below zero, in stored coordinates."""

    @classmethod
    def fit(
        cls, config: GaugeConfig, documents: Floats, queries: Floats | None = None, seed: int = 0
    ) -> "Gauge":
        """Fit on the corpus; any number of documents, of any rank, will do.

        With documents of covariance Σ and queries of second moment M, dropping dimensions changes
        margins by ⟨φ, (I − P)(e_D − μ)⟩, P of rank k, whose mean square is
        ‖M^½ (I − P) Σ^½‖². PCA of the documents ignores M, and keeps directions in which
        documents differ but no query looks. The P that minimizes it follows from the singular
        value decomposition M^½ Σ^½ = U S Vᵀ (Eckart and Young 1936). `balanced` splits S evenly:
        A = S^-½ Uᵀ M^½ and A⁻ᵀ = S^-½ Vᵀ Σ^½ give both sides the moment S (balanced truncation,
        Moore 1981). So ‖query‖ · ‖document‖ is the least that the same margins allow, and
        with it the rounding errors of a quantized index.

        Args:
            config: method, dimensions, spread.
            documents: e_D of the whole corpus, float32 [m, d].
            queries: φ of training queries, float32 [n, d]; only `balanced` needs them.
            seed: of the random rotation.

        Raises:
            ConfigError: more dimensions are wanted than there are.
            VectorError: a vector is not finite, or there are none.
        """
        _check(documents, "document")
        dimension = documents.shape[1]
        with_norm = config.equal_norms and config.method != "none"
        kept = dimension if config.dimensions is None else config.dimensions - with_norm
        if kept > dimension:
            raise ConfigError(
                f"index.gauge.dimensions = {config.dimensions}, but the student's vectors have "
                f"{dimension}: set it lower, or unset it"
            )
        mean = np.zeros(dimension)
        maps: tuple[Doubles, Doubles] | None = None
        if config.method != "none":
            mean = documents.mean(axis=0, dtype=np.float64)
        if config.method in ("pca", "whiten"):
            maps = _principal(_moment(documents, mean), whiten=config.method == "whiten")
        elif config.method == "balanced":
            if queries is None:
                raise ValueError("the balanced gauge is fitted on queries, too: none were given")
            _check(queries, "query", dimension)
            maps = _balanced(_moment(documents, mean), _moment(queries, np.zeros(dimension)))
        document_map: Doubles | None = None
        query_map: Doubles | None = None
        if maps is not None:
            document_map, query_map = _signed(maps[0][:kept], maps[1][:kept])
        norm, rotation = None, None
        if with_norm:
            plain = cls(config.method, mean, document_map, None, None, None, kept, 1.0)
            lengths = np.linalg.norm(plain.documents(documents), axis=1)
            norm = float(np.quantile(lengths, _NORM_QUANTILE))
            query_map = np.vstack(
                [np.eye(dimension) if query_map is None else query_map, np.zeros(dimension)]
            )
        if config.spread:
            rotation = _rotation(kept + with_norm, seed)
            query_map = rotation if query_map is None else rotation @ query_map
        gauge = cls(config.method, mean, document_map, query_map, norm, rotation, kept, 1.0)
        return replace(gauge, reach=_reach(gauge.documents(documents)))

    @property
    def input_dimension(self) -> int:
        """Length of the student's vectors, d."""
        return len(self.mean)

    @property
    def dimension(self) -> int:
        """Length of the stored vectors, k."""
        return self.kept + (self.norm is not None)

    @property
    def is_exact(self) -> bool:
        """Whether every margin is kept."""
        return self.kept == self.input_dimension

    @property
    def is_identity(self) -> bool:
        """Whether vectors are stored as the student gives them."""
        return self.method == "none" and self.rotation is None

    @property
    def fingerprint(self) -> str:
        """Hash of everything that shapes the vectors: what a collection and a query tower share."""
        digest = hashlib.sha256(self.method.encode())
        for name, tensor in sorted(self._tensors().items()):
            digest.update(f"{name}{tensor.shape}".encode() + tensor.tobytes())
        return digest.hexdigest()[:32]

    def documents(self, vectors: Floats) -> Floats:
        """A(e_D − μ), made equally long and rotated: float32 [m, d] → float32 [m, k].

        Raises:
            VectorError: a vector is not finite or has another dimension.
        """
        _check(vectors, "document", self.input_dimension, least=0)
        if self.is_identity:
            return vectors
        stored = np.empty((len(vectors), self.dimension), dtype=np.float32)
        for start in range(0, len(vectors), _BLOCK):
            part: Doubles = vectors[start : start + _BLOCK] - self.mean
            if self.document_map is not None:
                part = part @ self.document_map.T
            if self.norm is not None:
                missing = np.maximum(self.norm**2 - np.square(part).sum(axis=1), 0)
                part = np.column_stack([part, np.sqrt(missing)])
            stored[start : start + _BLOCK] = (
                part if self.rotation is None else part @ self.rotation.T
            )
        return stored

    def queries(self, vectors: Floats) -> tuple[Floats, Floats]:
        """A⁻ᵀφ, rotated, and ⟨φ, μ⟩: float32 [n, d] → float32 [n, k] and [n].

        Raises:
            VectorError: a vector is not finite or has another dimension.
        """
        _check(vectors, "query", self.input_dimension, least=0)
        wide = vectors.astype(np.float64)
        offsets: Floats = (wide @ self.mean).astype(np.float32)
        if self.query_map is None:
            return vectors, offsets
        return (wide @ self.query_map.T).astype(np.float32), offsets

    def save(self, folder: Path) -> None:
        """Write `gauge.safetensors`."""
        from safetensors.numpy import save_file

        # One metadata key only: safetensors does not fix the order of several.
        save_file(self._tensors(), folder / GAUGE_FILE, metadata={"method": self.method})

    @classmethod
    def load(cls, folder: Path) -> "Gauge":
        """Read what `save` wrote.

        Raises:
            ArtifactError: the file is missing or damaged.
        """
        from safetensors import SafetensorError, safe_open

        path = folder / GAUGE_FILE
        try:
            with safe_open(path, framework="numpy") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                method = file.metadata()["method"]
            norm, kept, reach = tensors["numbers"]
            return cls(
                method,
                tensors["mean"],
                tensors.get("document_map"),
                tensors.get("query_map"),
                None if np.isnan(norm) else float(norm),
                tensors.get("rotation"),
                int(kept),
                float(reach),
            )
        except FileNotFoundError:
            raise ArtifactError(f"no {path}: {_REMEDY}") from None
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"{path} is damaged ({error}): {_REMEDY}") from None

    def _tensors(self) -> dict[str, Doubles]:
        norm = np.nan if self.norm is None else self.norm
        maps = {
            "document_map": self.document_map,
            "query_map": self.query_map,
            "rotation": self.rotation,
        }
        return {
            "mean": self.mean,
            "numbers": np.array([norm, self.kept, self.reach]),
        } | {name: np.ascontiguousarray(map_) for name, map_ in maps.items() if map_ is not None}


def _moment(vectors: Floats, mean: Doubles) -> Doubles:
    """Mean of (v − mean)(v − mean)ᵀ: float64 [d, d]."""
    total = np.zeros((len(mean), len(mean)))
    for start in range(0, len(vectors), _BLOCK):
        part = vectors[start : start + _BLOCK] - mean
        total += part.T @ part
    return total / len(vectors)


def _principal(covariance: Doubles, *, whiten: bool) -> tuple[Doubles, Doubles]:
    """A and A⁻ᵀ of PCA, or of PCA scaled to unit variance; largest variance first."""
    values, vectors = np.linalg.eigh(covariance)
    values, axes = values[::-1], vectors.T[::-1]
    if not whiten:
        return axes, axes
    scale = np.sqrt(np.maximum(values, _FLOOR * values[0]))
    scale[scale == 0] = 1.0  # a corpus of equal documents has no variance to scale
    return axes / scale[:, None], axes * scale[:, None]


def _balanced(documents: Doubles, queries: Doubles) -> tuple[Doubles, Doubles]:
    """A and A⁻ᵀ that give both sides the same diagonal moment; largest share of margins first.

    The square-root method: no covariance is inverted, only kept singular values are divided by.
    """
    document_root, query_root = _root(documents), _root(queries)
    left, values, right = np.linalg.svd(query_root.T @ document_root)
    scale = 1 / np.sqrt(values)[:, None]
    return scale * (left.T @ query_root.T), scale * (right @ document_root.T)


def _root(moment: Doubles) -> Doubles:
    """L with L Lᵀ = moment + ridge, of full rank."""
    level = np.trace(moment) / len(moment)
    if level == 0:
        return np.eye(len(moment))
    values, vectors = np.linalg.eigh(moment)
    root: Doubles = vectors * np.sqrt(np.maximum(values, 0) + _RIDGE * level)
    return root


def _signed(document_map: Doubles, query_map: Doubles) -> tuple[Doubles, Doubles]:
    """The same maps with each row's largest document weight positive: solvers leave it open."""
    largest = np.abs(document_map).argmax(axis=1)[:, None]
    signs = np.where(np.take_along_axis(document_map, largest, axis=1) < 0, -1.0, 1.0)
    return document_map * signs, query_map * signs


def _rotation(dimension: int, seed: int) -> Doubles:
    """A rotation drawn evenly from all [k, k] (Mezzadri 2007)."""
    draws = np.random.default_rng([seed, 7]).standard_normal((dimension, dimension))
    q, r = np.linalg.qr(draws)
    rotation: Doubles = q * np.sign(np.diag(r))
    return rotation


def _reach(stored: Floats) -> float:
    both_sides = min(float(stored.max()), -float(stored.min()))
    return both_sides if both_sides > 0 else float(np.abs(stored).max())


def _check(vectors: Floats, kind: str, dimension: int | None = None, least: int = 1) -> None:
    if vectors.ndim != 2 or len(vectors) < least:
        raise VectorError(f"{kind} vectors must be [n, d], n ≥ {least}: got {vectors.shape}")
    if dimension is not None and vectors.shape[1] != dimension:
        raise VectorError(
            f"{kind} vectors have {vectors.shape[1]} dimensions, the gauge was fitted on "
            f"{dimension}: {_REMEDY}"
        )
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if bad.size:
        raise VectorError(f"the vector of {kind} number {bad[0]} holds NaN or Inf")
