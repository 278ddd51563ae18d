"""One version of a data set against the one before: rows, drift, leaked test queries."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rabtriever_core.data.dataset import Dataset
from rabtriever_core.data.profile import TABLES, Profile, asked_keys, hashed


@dataclass(frozen=True)
class Rows:
    """What became of a table's rows."""

    before: int
    now: int
    added: int
    removed: int
    changed: int
    """Same id, other content."""

    @property
    def removed_share(self) -> float:
        """Of the rows there were."""
        return self.removed / self.before if self.before else 0.0

    @property
    def differ(self) -> bool:
        """Whether anything is not as it was."""
        return bool(self.added or self.removed or self.changed)


@dataclass(frozen=True)
class Changes:
    """What differs between two versions; every drift is 0 for equal ones and at most 1."""

    rows: dict[str, Rows]
    """Table → rows: documents, queries, judgements."""
    lengths: dict[str, float]
    """Documents and queries: Kolmogorov-Smirnov statistic of lengths in characters."""
    words: dict[str, float]
    """Documents and queries: Jensen-Shannon divergence of word frequencies, in bits."""
    unseen: dict[str, float]
    """Documents and queries: share of running words that the version before did not have."""
    labels: float
    """Jensen-Shannon divergence of label frequencies, the largest of all common splits."""
    answers: float
    """The same of the right documents of training queries: which are asked for how often."""
    training: float
    """Share of training examples (query text, document text, label) that only one version has."""
    leaked: dict[str, str]
    """Training query → split that it, or its text, was evaluated in before."""

    def record(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def compare(before: Profile, now: Profile, dataset: Dataset, train: str) -> Changes:
    """Compare two versions.

    Args:
        before: profile of the earlier version.
        now: profile of the later one.
        dataset: the later version itself, to name its queries.
        train: the training split.
    """
    from scipy.stats import ks_2samp

    a, b = before.arrays, now.arrays
    kinds = ("documents", "queries")
    words = {
        k: (a[f"{k} words"], a[f"{k} counts"], b[f"{k} words"], b[f"{k} counts"]) for k in kinds
    }
    splits = sorted(set(before.splits()) & set(now.splits()))
    return Changes(
        rows=changed_rows(before, now),
        lengths={
            k: _rounded(ks_2samp(a[f"{k} lengths"], b[f"{k} lengths"]).statistic)
            if len(a[f"{k} lengths"]) and len(b[f"{k} lengths"])
            else 0.0
            for k in kinds
        },
        words={k: divergence(*words[k]) for k in kinds},
        unseen={k: _unseen(*words[k]) for k in kinds},
        labels=max(
            (divergence(*_labels(before, s), *_labels(now, s)) for s in splits), default=0.0
        ),
        answers=divergence(
            a["answers documents"], a["answers counts"], b["answers documents"], b["answers counts"]
        ),
        training=changed_training(before, now),
        leaked=leaked(before, dataset, train),
    )


def changed_rows(before: Profile, now: Profile) -> dict[str, Rows]:
    """What became of every table's rows."""
    return {table: _rows(before, now, table) for table in TABLES}


def changed_training(before: Profile, now: Profile) -> float:
    """Share of training examples that only one of the versions has: 1 − Jaccard index."""
    examples = before.arrays["training"], now.arrays["training"]
    union, common = np.union1d(*examples), np.intersect1d(*examples)
    return _rounded(1 - len(common) / len(union)) if len(union) else 0.0


def leaked(before: Profile, dataset: Dataset, train: str) -> dict[str, str]:
    """Training queries whose id or text an evaluation split had before: query → that split."""
    asked = {
        split: set(before.arrays[f"asked {split}"].tolist())
        for split in before.splits()
        if split != train
    }
    found = {}
    for query in dataset.qrels.get(train, {}):
        keys = [hashed(key) for key in asked_keys(query, dataset.queries[query])]
        for split, known in asked.items():
            if any(key in known for key in keys):
                found[query] = split
                break
    return found


def divergence(
    names_a: npt.NDArray[Any],
    counts_a: npt.NDArray[Any],
    names_b: npt.NDArray[Any],
    counts_b: npt.NDArray[Any],
) -> float:
    """Jensen-Shannon divergence of two counted sets, in bits: 0 for the same shares, at most 1."""
    from scipy.spatial.distance import jensenshannon

    if not len(names_a) or not len(names_b):
        return float(bool(len(names_a)) != bool(len(names_b)))
    names = np.union1d(names_a, names_b)
    shares = []
    for own, counts in ((names_a, counts_a), (names_b, counts_b)):
        share = np.zeros(len(names))
        share[np.searchsorted(names, own)] = counts
        shares.append(share)
    distance = jensenshannon(*shares, base=2)
    return _rounded(0.0 if np.isnan(distance) else distance**2)


def _rows(before: Profile, now: Profile, table: str) -> Rows:
    (ids_a, rows_a), (ids_b, rows_b) = (
        (p.arrays[f"{table} ids"], p.arrays[f"{table} rows"]) for p in (before, now)
    )
    _, at_a, at_b = np.intersect1d(ids_a, ids_b, return_indices=True)
    return Rows(
        before=len(ids_a),
        now=len(ids_b),
        added=len(ids_b) - len(at_b),
        removed=len(ids_a) - len(at_a),
        changed=int((rows_a[at_a] != rows_b[at_b]).sum()),
    )


def _unseen(
    names_a: npt.NDArray[Any],
    _: npt.NDArray[Any],
    names_b: npt.NDArray[Any],
    counts_b: npt.NDArray[Any],
) -> float:
    total = int(counts_b.sum())
    return _rounded(int(counts_b[~np.isin(names_b, names_a)].sum()) / total) if total else 0.0


def _labels(profile: Profile, split: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    table = profile.arrays[f"labels {split}"]
    return table[:, 0], table[:, 1]


def _rounded(value: float) -> float:
    return round(float(value), 6)
