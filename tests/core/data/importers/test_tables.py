"""Files with rows: encodings, separators, what is left out, and where errors are."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rabtriever_core.data.importers import cells
from rabtriever_core.data.importers.delimited import rows_of
from rabtriever_core.data.importers.tables import read_table
from rabtriever_core.errors import DatasetError

Write = Callable[[str, bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def file(name: str, content: bytes) -> Path:
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return file


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_encodings_and_separators_are_recognised(
    write: Write, encoding: str, separator: str
) -> None:
    text = separator.join(("Frage", "Antwort")) + "\r\n"
    text += (
        separator.join(("Größe, oder?", "Maß: 5; 6"))
        .replace("Größe, oder?", '"Größe, oder?"' if separator == "," else "Größe, oder?")
        .replace("Maß: 5; 6", '"Maß: 5; 6"')
    )
    table = read_table(write("pairs.csv", text.encode(encoding)))
    assert table.rows == [("pairs.csv, row 2", {"Frage": "Größe, oder?", "Antwort": "Maß: 5; 6"})]
    assert ("Windows-1252" in " ".join(table.notes)) == (encoding == "cp1252")


def test_an_encoding_may_be_named(write: Write) -> None:
    path = write("pairs.csv", "问题,答案\n为什么,因为\n".encode("gb18030"))
    table = read_table(path, encoding="gb18030")
    assert table.rows[0][1] == {"问题": "为什么", "答案": "因为"}
    with pytest.raises(DatasetError, match="no encoding 'latin-one'"):
        read_table(path, encoding="latin-one")


def test_bytes_of_no_encoding_are_an_error_that_names_the_line(write: Write) -> None:
    with pytest.raises(DatasetError, match=r"line 2 holds the byte 0x81.*--encoding"):
        read_table(write("pairs.csv", b"a,b\nx,\x81\n"))
    with pytest.raises(DatasetError, match="no text file"):
        read_table(write("pairs.csv", b"PK\0\0"))


def test_rows_of_another_width_are_left_out_and_blank_ones_skipped(write: Write) -> None:
    table = read_table(write("t.csv", b'q,d\n\nwhy,because\na,b,c\n"x\ny",z\nonly\n,\n'))
    assert table.rows == [
        ("t.csv, row 3", {"q": "why", "d": "because"}),
        ("t.csv, row 5", {"q": "x\ny", "d": "z"}),
    ]
    assert [(one.place, one.reason[:31]) for one in table.left_out] == [
        ("t.csv, row 4", "3 columns where the first row h"),
        ("t.csv, row 6", "1 columns where the first row h"),
    ]


def test_a_quotation_that_never_ends_says_where_it_begins(write: Write) -> None:
    with pytest.raises(DatasetError, match=r"t.csv, row 3 \(line 3\): a quotation mark opens"):
        read_table(write("t.csv", b'q,d\na,b\n"open,c\nd,e\n'))


def test_a_sloppy_quotation_costs_its_row_alone(write: Write) -> None:
    table = read_table(write("t.tsv", b'q\td\n"Hi" he said\tx\na\tb\n'))
    assert [row for _, row in table.rows] == [{"q": "a", "d": "b"}]
    assert table.left_out[0].place == "t.tsv, row 2"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t.csv", b"only one column\n", "no comma, semicolon, tab or vertical bar"),
        ("t.csv", b"", "no comma"),
        ("t.csv", b"a,b\n", "has no rows"),
        ("t.csv", b"a,a\n1,2\n", "several columns are called 'a'"),
        ("t.doc", b"x", "cannot tell what a .doc holds"),
        ("t.json", b"[1]", "entry 1: expected an object, got 1"),
        ("t.json", b"[{]", "cannot be read as JSON"),
        ("t.jsonl", b'{"a": 1}\n{', "line 2: not valid JSON"),
        ("t.parquet", b"nothing", "cannot be read as Parquet"),
        ("t.xlsx", b"nothing", "cannot be read as an Excel file"),
    ],
)
def test_errors_name_the_file(write: Write, name: str, content: bytes, says: str) -> None:
    with pytest.raises(DatasetError, match=says) as error:
        read_table(write(name, content))
    assert name in str(error.value)


def test_json_is_an_array_or_lines(write: Write) -> None:
    rows = [{"q": "a", "n": 1}, {"q": "b", "n": None}]
    lines = "\n".join(map(json.dumps, rows))
    array = read_table(write("t.json", b"\xef\xbb\xbf" + json.dumps(rows).encode()))
    assert [row for _, row in array.rows] == rows
    assert read_table(write("l.json", lines.encode())).rows[1] == ("l.json, line 2", rows[1])


def test_parquet_keeps_lists(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [{"query": "q", "pos": ["a", "b"], "day": datetime(2026, 1, 2)}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet").rows == [("t.parquet, row 1", rows[0])]


def test_excel_takes_the_first_sheet_or_the_named_one(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.title = "Notes"
    book.active.append(["a", "b"])
    book.active.append(["x", "y"])
    sheet = book.create_sheet("Pairs")
    for row in ([None, None], ["question", "year"], ["why", 7], [None, None], ["how", 8.0]):
        sheet.append(row)
    book.save(tmp_path / "t.xlsx")
    first = read_table(tmp_path / "t.xlsx")
    assert first.rows == [("t.xlsx, row 2", {"a": "x", "b": "y"})]
    assert first.notes == ["sheet 'Notes', the first of 2 (--subset names another)"]
    pairs = read_table(tmp_path / "t.xlsx", sheet="Pairs")
    assert [place for place, _ in pairs.rows] == ["t.xlsx, row 3", "t.xlsx, row 5"]
    assert pairs.rows[1][1] == {"question": "how", "year": 8}
    with pytest.raises(DatasetError, match="no sheet 'Other'; it has 'Notes', 'Pairs'"):
        read_table(tmp_path / "t.xlsx", sheet="Other")


@given(
    st.lists(st.lists(st.text(st.characters(exclude_categories=("Cs",))), min_size=2, max_size=2))
)
def test_what_csv_writes_is_read_as_it_was(rows: list[list[str]]) -> None:
    """Line ends of all kinds, separators and quotation marks within texts."""
    import csv
    import io

    file = io.StringIO(newline="")
    csv.writer(file).writerows([["query", "document"], *rows])
    _, found = rows_of(file.getvalue(), Path("t.csv"))
    kept = [row for row in rows if any(cell.strip() for cell in row)]
    assert [row for _, row in found][1:] == kept


@settings(max_examples=60)
@given(content=st.binary() | st.text('",;[]{}\n\t ab\ufeffé').map(str.encode))
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".json", ".jsonl", ".parquet", ".xlsx"])
def test_any_bytes_are_a_table_or_a_named_error(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / f"any{suffix}"
    path.write_bytes(content)
    try:
        assert read_table(path).rows
    except DatasetError as error:
        assert path.name in str(error)


def test_cells() -> None:
    assert cells.items_of('["a", " b "]', as_text=True) == ["a", "b"]
    assert cells.items_of("['a', 'it''s']", as_text=True) == ["a", "its"]
    assert cells.items_of("[1]", as_text=True) == ["[1]"]
    assert cells.items_of("[see below]", as_text=True) == ["[see below]"]
    assert cells.items_of(["a", ["b", None]], as_text=False) == ["a", "b"]
    assert cells.text_of(12.0) == "12" and cells.text_of(float("nan")) == ""
    assert [cells.label_of(c) for c in ("1.0", True, "no", 2, "0.5", "", None)] == [
        1, 1, 0, 2, None, None, None
    ]  # fmt: skip
    assert cells.time_of("2026-03-04") < cells.time_of("2026-03-04T01:00")
    assert cells.time_of("2024") == 2024.0 and cells.time_of("inf") is None
    assert cells.is_other_date("03.04.2024") and not cells.is_other_date("customer 3")
    assert cells.answers_of({"text": ["a", "a", "b"], "answer_start": [1]}, as_text=False) == (
        "a",
        "b",
    )
    assert [cells.is_number(c) for c in ("7", "-2.5", "007", "7a", 3)] == [
        True, True, False, False, True
    ]  # fmt: skip
