"""What a source is, told by its content, and read accordingly."""

from collections.abc import Callable
from pathlib import Path

from rabtriever_core.data.importers import hub, judged, plans, strategies
from rabtriever_core.data.importers.columns import Said
from rabtriever_core.data.importers.examples import Layout, Source
from rabtriever_core.data.importers.pairs import read_pairs
from rabtriever_core.data.importers.splits import is_split_name
from rabtriever_core.data.importers.tables import SUFFIXES, Table, read_table
from rabtriever_core.errors import DatasetError

_COLLECTION = "collection.tsv"
_OF_TABLES: dict[str, tuple[Callable[[Table], bool], Callable[[Table], Source]]] = {
    "esconv": (strategies.is_esconv, strategies.read_esconv),
    "psyqa": (strategies.is_psyqa, strategies.read_psyqa),
    "saycan": (plans.is_saycan, plans.read_saycan),
}
"""Layouts of one table → how it is told, how it is read."""


def read_source(
    source: str,
    said: Said,
    *,
    layout: Layout | None = None,
    corpus: Path | None = None,
    subset: str = "",
    encoding: str = "",
) -> Source:
    """Read a file, a folder, or a data set of the Hugging Face hub.

    Args:
        source: path, or id on the hub.
        said: names of columns that the user gave.
        layout: what it is; told by its content when None.
        corpus: a table with the documents, whose ids the source has.
        subset: a configuration on the hub, or a sheet of an Excel file.
        encoding: of a text with separators; found out without one.

    Raises:
        DatasetError: there is no such source, it is none that can be told, or is unfit.
    """
    path = Path(source)
    documents = None if corpus is None else read_table(_file(corpus), subset, encoding)
    if path.is_file():
        return _read_tables([read_table(path, subset, encoding)], said, layout, documents)
    if path.is_dir():
        return _read_folder(path, said, layout, documents, subset, encoding)
    if path.suffix.lower() in SUFFIXES or source.count("/") > 1 or path.is_absolute():
        raise DatasetError(f"no such file or folder: {source}")
    return hub.read_hub(source, said, subset, documents)


def _read_folder(
    folder: Path,
    said: Said,
    layout: Layout | None,
    corpus: Table | None,
    subset: str,
    encoding: str,
) -> Source:
    if (folder / "corpus.jsonl").is_file() and (folder / "qrels").is_dir():
        raise DatasetError(
            f"{folder} is in BEIR layout already: `rabtriever init --data {folder}` takes it"
        )
    if layout == "msmarco" or (layout is None and (folder / _COLLECTION).is_file()):
        return judged.read_msmarco(folder)
    if layout == "alfred" or (layout is None and any(folder.rglob(plans.TRAJECTORY))):
        return plans.read_alfred(folder)
    if hub.is_saved(folder) or hub.saved_parts(folder):
        return hub.read_saved(folder, said, corpus)
    tables = [
        read_table(path, subset, encoding, split=path.stem)
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in SUFFIXES and is_split_name(path.stem)
    ]
    if tables:
        return _read_tables(tables, said, layout, corpus)
    return hub.read_hub(str(folder), said, subset, corpus)


def _read_tables(
    tables: list[Table], said: Said, layout: Layout | None, corpus: Table | None
) -> Source:
    if layout in _OF_TABLES:
        return _OF_TABLES[layout][1](tables[0])
    if layout not in (None, "pairs"):
        raise DatasetError(
            f"--layout {layout}: {tables[0].name} is one file, and that layout has several"
        )
    if layout is None and len(tables) == 1 and not said.query:
        for holds, read in _OF_TABLES.values():
            if holds(tables[0]):
                return read(tables[0])
    return read_pairs(tables, said, corpus)


def _file(path: Path) -> Path:
    if not path.is_file():
        raise DatasetError(f"no such file: {path}")
    return path
