"""Texts that occur more than once: across splits (leakage), within one, and in the corpus."""

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rabtriever_core.data.comparison import normalised

if TYPE_CHECKING:
    from pandas import DataFrame

Key = tuple[str, str]
"""Split and query id."""


def normalised_texts(queries: "DataFrame") -> dict[str, str]:
    """Query id → normalised text (columns id and text)."""
    pairs = zip(queries["id"], queries["text"], strict=True)
    return {id_: normalised(text) for id_, text in pairs}


def leaks(judgements: "DataFrame", texts: dict[str, str], train: str) -> list[str]:
    """Where else a training query's text is judged.

    Args:
        judgements: columns split and query; every query is in `texts`.
        texts: query id → normalised text.
        train: name of the training split.

    Returns:
        Per row `<query id> in <split>`, or nothing when it is no leak.
    """
    evaluated: dict[str, str] = {}
    for split, query in _keys(judgements):
        if split != train:
            evaluated.setdefault(texts[query], f"{query} in {split}")
    return [
        evaluated.get(texts[query], "") if split == train else ""
        for split, query in zip(judgements["split"], judgements["query"], strict=True)
    ]


def repeats(judgements: "DataFrame", texts: dict[str, str]) -> dict[Key, str]:
    """Queries that repeat an earlier one of their split: same text, same documents and labels.

    Returns:
        (split, query id) → id of the earlier query.
    """
    first: dict[tuple[str, str, frozenset[Key]], str] = {}
    found: dict[Key, str] = {}
    for (split, query), labels in _label_sets(judgements).items():
        earlier = first.setdefault((split, texts[query], labels), query)
        if earlier != query:
            found[split, query] = earlier
    return found


def ambiguities(judgements: "DataFrame", texts: dict[str, str]) -> dict[str, str]:
    """Queries whose text an earlier query of their split has with other labels.

    Returns:
        Query id → `<earlier query id> in <split>`.
    """
    first: dict[Key, tuple[str, frozenset[Key]]] = {}
    found: dict[str, str] = {}
    for (split, query), labels in _label_sets(judgements).items():
        earlier, earlier_labels = first.setdefault((split, texts[query]), (query, labels))
        if earlier_labels != labels:
            found.setdefault(query, f"{earlier} in {split}")
    return found


def shared_evaluation_texts(
    judgements: "DataFrame", texts: dict[str, str], train: str
) -> dict[str, str]:
    """Queries whose text is judged in several splits other than the training split.

    Returns:
        Query id → those splits, such as `dev and test`.
    """
    splits: dict[str, set[str]] = defaultdict(set)
    keys = [key for key in _keys(judgements) if key[0] != train]
    for split, query in keys:
        splits[texts[query]].add(split)
    return {
        query: " and ".join(sorted(splits[texts[query]]))
        for _, query in keys
        if len(splits[texts[query]]) > 1
    }


def earlier_same_text(ids: Iterable[str], texts: Iterable[str]) -> list[str]:
    """Per row the id of the first row with the same normalised text, or nothing."""
    first: dict[str, str] = {}
    found = []
    for id_, text in zip(ids, texts, strict=True):
        earlier = first.setdefault(normalised(text), id_)
        found.append("" if earlier == id_ else earlier)
    return found


def _keys(judgements: "DataFrame") -> list[Key]:
    """(split, query id) pairs, each once, in order."""
    return list(dict.fromkeys(zip(judgements["split"], judgements["query"], strict=True)))


def _label_sets(judgements: "DataFrame") -> dict[Key, frozenset[Key]]:
    """(split, query id) → its (document id, label) pairs."""
    labels: dict[Key, list[Key]] = defaultdict(list)
    columns = (judgements[name] for name in ("split", "query", "document", "label"))
    for split, query, document, label in zip(*columns, strict=True):
        labels[split, query].append((document, label))
    return {key: frozenset(pairs) for key, pairs in labels.items()}
