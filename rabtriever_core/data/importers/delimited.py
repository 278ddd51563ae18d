"""CSV and its relatives: which encoding, which separator, which rows."""

import csv
import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from rabtriever_core.errors import DatasetError

Cells = list[str]
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_SAMPLE = 50
csv.field_size_limit(2**31 - 1)


def decoded(path: Path, encoding: str = "") -> tuple[str, str]:
    """A file's text, and what is to be said of its encoding (nothing for UTF-8).

    UTF-8 and UTF-16 are recognised; what is neither is read as Windows-1252, which contains
    Latin-1, as spreadsheets in western languages write it.

    Raises:
        DatasetError: the bytes are no text in that encoding, or there is no such encoding.
    """
    content = path.read_bytes()
    if encoding:
        try:
            return content.decode(encoding), f"read as {encoding}"
        except LookupError:
            raise DatasetError(f"--encoding: there is no encoding {encoding!r}") from None
        except UnicodeDecodeError as error:
            raise _undecodable(path, content, error, f"is not {encoding}") from None
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16"), "read as UTF-16"
    if b"\0" in content[:10_000]:
        raise DatasetError(f"{path} is no text file: it holds bytes that are 0")
    try:
        return content.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        try:
            said = "not UTF-8, read as Windows-1252 (--encoding names another one)"
            return content.decode("cp1252"), said
        except UnicodeDecodeError as error:
            raise _undecodable(path, content, error, "is neither UTF-8 nor Windows-1252") from None


def rows_of(text: str, path: Path) -> tuple[str, Iterator[tuple[int, Cells | str]]]:
    """The rows of a text with separators; row 1 is the first, as a spreadsheet counts.

    Args:
        text: of the file.
        path: of the file, for errors; `.tsv` has tabs.

    Returns:
        What separates the columns, in words, and (row number, cells, or what is wrong with the
        row).

    Raises:
        DatasetError: no separator parts the first row, or a quotation never ends.
    """
    separator = "\t" if path.suffix.lower() == ".tsv" else _separator(text, path)
    return _SEPARATORS[separator], _rows(text, separator, path)


def _rows(text: str, separator: str, path: Path) -> Iterator[tuple[int, Cells | str]]:
    # Lines end where files' lines end: other line ends of Unicode may stand in somebody's text.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    number = 0
    while True:
        begins = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            number += 1
            if "unexpected end" in str(error):
                raise DatasetError(
                    f"{path}, row {number} (line {begins}): a quotation mark opens a text that "
                    "never ends: close it, or double quotation marks within quoted texts"
                ) from None
            yield number, 'quotation marks within a quoted text are not doubled ("")'
            continue
        number += 1
        if any(cell.strip() for cell in cells):
            yield number, cells


def _separator(text: str, path: Path) -> str:
    """The one that gives the first rows the same number of columns, as many as it can."""
    sample = list(islice(io.StringIO(text, newline=""), _SAMPLE))

    def regularity(separator: str) -> tuple[float, int]:
        widths = [len(cells) for cells in csv.reader(sample, delimiter=separator)]
        widths = [width for width in widths if width] or [0]
        return widths.count(widths[0]) / len(widths) if widths[0] > 1 else 0.0, widths[0]

    best = max(_SEPARATORS, key=regularity)
    if not regularity(best)[0]:
        first = text.partition("\n")[0].strip()
        raise DatasetError(
            f"{path}: no comma, semicolon, tab or vertical bar parts the columns of the first row, "
            f"{first[:80]!r}"
        )
    return best


def _undecodable(path: Path, content: bytes, error: UnicodeDecodeError, what: str) -> DatasetError:
    line = content.count(b"\n", 0, error.start) + 1
    return DatasetError(
        f"{path} {what}: line {line} holds the byte 0x{content[error.start]:02x}. Name its "
        "encoding with --encoding (gb18030, shift_jis, cp1251, …), or save it as UTF-8"
    )
