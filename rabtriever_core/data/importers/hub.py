"""Data sets of Hugging Face `datasets`: from the hub, a folder like one there, `save_to_disk`."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rabtriever_core.data.importers.columns import Said
from rabtriever_core.data.importers.examples import Source, missing_library
from rabtriever_core.data.importers.judged import read_judged_tables
from rabtriever_core.data.importers.pairs import read_pairs
from rabtriever_core.data.importers.tables import Table
from rabtriever_core.errors import DatasetError

SAVED = ("dataset_dict.json", "state.json")
"""Files by which a folder of `save_to_disk` is told."""
_QRELS = ("qrels", "default")


def read_hub(source: str, said: Said, subset: str = "", corpus: Table | None = None) -> Source:
    """Read a data set by its id on the hub, or a local folder that is laid out like one there.

    Configurations `corpus`, `queries` and `qrels` (mteb's, which calls the last `default`, too) are
    judged queries; anything else is rows with pairs.

    Args:
        source: id or folder.
        said: names of columns that the user gave.
        subset: the configuration; of mteb's multilingual sets the language.
        corpus: a table of documents.

    Raises:
        DatasetError: it cannot be found or loaded, or a configuration has to be chosen.
    """
    datasets = _library()
    with _loading(source):
        configs = datasets.get_dataset_config_names(source)
    names = {part: f"{subset}-{part}" if subset else part for part in ("corpus", "queries")}
    if set(names.values()) <= set(configs):
        wanted = [f"{subset}-qrels"] if subset else _QRELS
        qrels = next((name for name in wanted if name in configs), None)
        if qrels is None:
            raise DatasetError(
                f"{source} has a corpus and queries and no judgements: none of "
                f"{', '.join(wanted)} among {', '.join(configs)}"
            )
        parts = {**names, "qrels": qrels}
        with _loading(source):
            loaded = {part: datasets.load_dataset(source, name) for part, name in parts.items()}
        return _judged(loaded, source)
    if (subset not in configs) if subset else len(configs) > 1:
        raise DatasetError(
            f"{source} has the configurations {', '.join(configs)}: choose one with --subset"
        )
    with _loading(source):
        loaded = datasets.load_dataset(source, subset or configs[0])
    return read_pairs(list(_tables(loaded, Path(source).name)), said, corpus)


def read_saved(folder: Path, said: Said, corpus: Table | None = None) -> Source:
    """Read a folder that `save_to_disk` wrote, or one with such folders for corpus, queries, qrels.

    Raises:
        DatasetError: it cannot be read.
    """
    datasets = _library()
    parts = saved_parts(folder)
    with _loading(str(folder)):
        if parts:
            loaded = {part: datasets.load_from_disk(str(path)) for part, path in parts.items()}
            return _judged(loaded, folder.name)
        saved = datasets.load_from_disk(str(folder))
    return read_pairs(list(_tables(saved, folder.name)), said, corpus)


def is_saved(folder: Path) -> bool:
    """Whether `save_to_disk` wrote a folder."""
    return any((folder / name).is_file() for name in SAVED)


def saved_parts(folder: Path) -> dict[str, Path]:
    """The saved corpus, queries and qrels in a folder; nothing where one is missing."""
    qrels = next((folder / name for name in _QRELS if is_saved(folder / name)), folder / "qrels")
    parts = {"corpus": folder / "corpus", "queries": folder / "queries", "qrels": qrels}
    return parts if all(map(is_saved, parts.values())) else {}


def _judged(loaded: Mapping[str, Any], name: str) -> Source:
    tables = {part: list(_tables(data, f"{name}: {part}")) for part, data in loaded.items()}
    return read_judged_tables(tables["corpus"], tables["queries"], tables["qrels"])


def _tables(loaded: Any, name: str) -> Iterator[Table]:
    """One for each split, with what the data set says of its columns respected."""
    splits = loaded if isinstance(loaded, Mapping) else {"": loaded}
    for split, data in splits.items():
        place = f"{name} ({split})" if split else name
        _check_classes(place, data.features)
        rows: Iterable[dict[str, Any]] = data
        yield Table(
            place, [(f"{place}, row {n}", row) for n, row in enumerate(rows, 1)], split=split
        )


def _check_classes(place: str, features: Mapping[str, Any]) -> None:
    """Classes that are called entailment or the like are no grades of relevance."""
    for column, feature in features.items():
        names = getattr(feature, "names", None)
        if column in ("label", "score") and names and not all(map(str.isdigit, names)):
            raise DatasetError(
                f"{place}: column {column!r} holds the classes {', '.join(names)}, which are no "
                "grades of relevance: make it 0 for wrong and 1 for right, or remove it"
            )


def _library() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise missing_library("a Hugging Face data set", error) from error
    datasets.disable_progress_bars()
    return datasets


@contextlib.contextmanager
def _loading(source: str) -> Iterator[None]:
    """Says what was loaded where that fails; the library's errors are of many kinds."""
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise DatasetError(f"{source} cannot be loaded: {reason}") from error
