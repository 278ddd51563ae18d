"""Queries to try on the search page: the owner's, or some that the release answers rightly."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rabtriever_core.data.demo.examples import EXAMPLES
from rabtriever_core.data.judgements import read_judged
from rabtriever_core.index.checks.exactness import spread
from rabtriever_core.releases.record import Release
from rabtriever_core.releases.store import part_folder
from rabtriever_core.serving.answers import Query
from rabtriever_core.workspace import Workspace

if TYPE_CHECKING:
    from rabtriever_core.serving.retriever import Retriever

SHOWN = 3
_TRIED = 32
_MAX_CHARACTERS = 160

_Known = tuple[str, frozenset[str]]
"""A query's text and its right documents."""


def examples(retriever: "Retriever") -> list[str]:
    """The queries of `serving.page.examples`; without that setting up to three of the dev split.

    Of these the first document is right and fits, in the release that is served now. Texts of
    training, to which users' feedback belongs, are never among them. None are found where a release
    came to this machine without its data.

    Raises:
        RabtrieverError: as `Retriever.answer`.
    """
    workspace = retriever.workspace
    chosen = workspace.settings.serving.page.examples
    if chosen is not None:
        return list(chosen)
    demo = EXAMPLES if workspace.settings.dataset.demo else {}
    ours = [(text, frozenset({document})) for text, document in demo.items()]
    good = _answered(retriever, ours)[:SHOWN]
    if len(good) < SHOWN:
        dev = _answered(retriever, _of_dev(workspace, retriever.release))
        good += spread(dev, SHOWN - len(good))
    return good


def _answered(retriever: "Retriever", known: Sequence[_Known]) -> list[str]:
    """Those whose first document is right and fits."""
    answers = retriever.answer([Query(text, 1) for text, _ in known])
    return [
        text
        for (text, right), hits in zip(known, answers, strict=True)
        if hits and hits[0].document_id in right and hits[0].fits is not False
    ]


def _of_dev(workspace: Workspace, release: Release) -> list[_Known]:
    """Short queries with different right documents, evenly from the whole split."""
    folder = part_folder(workspace, release.parts["validated_dataset"])
    if not folder.is_dir():
        return []
    judged = read_judged(folder, release.settings["dataset"]["dev_split"])
    found: dict[frozenset[str], str] = {}
    for query, text in judged.queries.items():
        if len(text) <= _MAX_CHARACTERS:
            found.setdefault(frozenset(judged.right(query)), text)
    return spread([(text, right) for right, text in found.items()], _TRIED)
