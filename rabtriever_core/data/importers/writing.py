"""The folder of an imported data set, written over nothing that is not meant."""

import re
from pathlib import Path

from rabtriever_core.data.dataset import qrels_files, write_dataset
from rabtriever_core.data.importers.assembly import Imported
from rabtriever_core.errors import DatasetError
from rabtriever_core.workspace.atomic import write_json_lines

ANSWERS = "answers.jsonl"


def check_target(folder: Path, *, force: bool) -> None:
    """Refuse a folder that the data set cannot be written to.

    Raises:
        DatasetError: its name cannot name a data set, something else lies there, or a data set
            does, and it is not to be replaced.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", folder.resolve().name):
        raise DatasetError(
            f"{folder} names the data set and the index: use letters, digits, dots and dashes"
        )
    if folder.is_file():
        raise DatasetError(f"{folder} is a file: name a folder for the data set")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not (folder / "corpus.jsonl").is_file():
        raise DatasetError(f"{folder} holds something that is no data set: name a new folder")
    if not force:
        raise DatasetError(
            f"{folder} holds a data set: name a new folder, or replace it with --force"
        )


def write_imported(imported: Imported, folder: Path, *, force: bool = False) -> None:
    """Write the data set, with `answers.jsonl` beside it where there are answers.

    Of a data set that is replaced, other files stay, such as feedback.

    Raises:
        DatasetError: as `check_target`.
    """
    check_target(folder, force=force)
    write_dataset(imported.dataset, folder)
    for path in qrels_files(folder):
        if path.stem not in imported.dataset.qrels:
            path.unlink()
    if imported.answers:
        rows = ({"_id": id_, "answers": held} for id_, held in imported.answers.items())
        write_json_lines(folder / ANSWERS, rows)
    else:
        (folder / ANSWERS).unlink(missing_ok=True)
