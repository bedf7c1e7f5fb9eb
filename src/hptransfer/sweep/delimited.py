"""CSV, TSV and their like: comma, tab, semicolon, bar or spaces between fields, comment lines, any size."""

from __future__ import annotations

import ast
import csv
import io
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from hptransfer.errors import SweepError
from hptransfer.files import strict_json
from hptransfer.sweep.options import ReadOptions
from hptransfer.sweep.raw_table import RawColumn, RawTable, expand, make_table
from hptransfer.sweep.rows import from_rows

NESTED = ("config", "summary")  # columns of W&B's run table that hold a whole dict as text
NOT_A_NUMBER = re.compile(r"(?<=: )-?(?:nan|inf)(?=[,}])")  # Python's repr of floats that it cannot read back
COMMENTS = ("#", "%", "//")
SPACES = re.compile(r"\s+")
LARGE = 4_000_000  # bytes from which pandas reads a file, whose import takes longer than reading a small one
CHUNK = 100_000  # rows that pandas reads at a time, which bounds its memory


def read_delimited(text: str, name: str, options: ReadOptions) -> RawTable:
    """The table of a CSV file or one like it.

    Raises:
        SweepError: where its rows differ in length or it has none.
    """
    head, delimiter = _head(text)
    rows, numbers = _with_sections(*_split(text, name, delimiter), text)
    if head is not None:
        rows, numbers = [head, *rows], [0, *numbers]
    table = from_rows(rows, numbers, name, options)
    return replace(
        table, columns=expand({key: _unpacked(key, cells) for key, cells in table.columns.items()})
    )


def _head(text: str) -> tuple[list[str] | None, str]:
    """The names in a comment above rows that have none, if so, and what separates fields."""
    lines = [line for line in map(str.strip, text[:10_000].splitlines()) if line]
    marked = next((max(",\t;|", key=line.count) for line in lines if _is_marked(line)), " ")
    comment = ""
    for line in lines:
        if line.startswith(COMMENTS):
            comment = line.lstrip("#%/ ")
            continue
        delimiter = marked
        names = _fields(comment, delimiter)
        numeric = all(
            re.fullmatch(r"[+-]?[\d.]+(?:[eE][+-]?\d+)?|nan|inf", field) for field in _fields(line, delimiter)
        )
        return (names if numeric and len(names) == len(_fields(line, delimiter)) > 1 else None), delimiter
    return None, ","


def _is_marked(line: str) -> bool:
    """Whether a line is no comment and has a comma, tab, semicolon or bar."""
    return not line.startswith(COMMENTS) and any(mark in line for mark in ",\t;|")


def _fields(line: str, delimiter: str) -> list[str]:
    return [
        field.strip() for field in (SPACES.split(line.strip()) if delimiter == " " else line.split(delimiter))
    ]


def _split(text: str, name: str, delimiter: str) -> tuple[list[list[Any]], list[int]]:
    """The rows of a text that are no comments, and their numbers."""
    if delimiter == " ":
        lines = [(i, line) for i, line in enumerate(text.splitlines(), start=1) if line.strip()]
        kept = [(i, _fields(line, " ")) for i, line in lines if not line.lstrip().startswith(COMMENTS)]
        return [row for _, row in kept], [i for i, _ in kept]
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True
    )
    rows, numbers = [], []
    try:
        for fields in reader:
            if any(field.strip() for field in fields) and not fields[0].lstrip().startswith(COMMENTS):
                rows.append(fields)
                numbers.append(reader.line_num)
    except csv.Error as error:
        raise SweepError(f"{name} is not a CSV file: row {reader.line_num}: {error}") from None
    if not rows:
        raise SweepError(f"a sweep table needs at least one run, but {name} has only comments")
    return rows, numbers


def _with_sections(rows: list[list[Any]], numbers: list[int], text: str) -> tuple[list[list[Any]], list[int]]:
    """Tables below each other, under one head each, as one; their titles are the column `section`."""
    head = next((row for row in rows if sum(bool(cell.strip()) for cell in row) > 1), [])
    places = [i for i, row in enumerate(rows) if row == head]
    if len(places) < 2:
        return rows, numbers
    lines = text.splitlines()
    titles = [_title(lines, numbers[i] - 1) for i in places]
    named = all(titles) and len(set(titles)) > 1
    out, kept = [[*head, "section"] if named else head], [numbers[places[0]]]
    for title, first, end in zip(titles, places, [*places[1:], len(rows)], strict=True):
        for i in range(first + 1, end):
            if sum(bool(cell.strip()) for cell in rows[i]) > 1:
                out.append([*rows[i], title] if named else rows[i])
                kept.append(numbers[i])
    return out, kept


def _title(lines: list[str], above: int) -> str:
    """The comment or the lone text nearest above a head, if no row of a table stands between."""
    text = next((line.strip() for line in reversed(lines[:above]) if line.strip(" ,;\t")), "")
    return (
        text.strip("#%/,;| \t\"'")
        if text.startswith(COMMENTS) or not re.search(r"\S[,;\t|] *[^\s,;|]", text)
        else ""
    )


def read_large(content: bytes, name: str, options: ReadOptions) -> RawTable | None:
    """A plain large file as arrays of numbers; None where it needs the slower reader, for its errors too.

    Bytes are read, since the text of a file, and a file of text in memory, would take five times its size.
    """
    if (
        len(content) <= LARGE
        or options.decimal is not None
        or options.extract is not None
        or b"\0" in content
    ):
        return None
    head = content[: 1 << 14].decode("utf-8-sig", "ignore")
    delimiter = _head(head)[1]
    if head.lstrip()[:1] in tuple("{[|#<") or not delimiter.strip():
        return None
    columns = _chunks(content, delimiter)
    rows = len(next(iter(columns.values()), []))
    lines = content.count(b"\n") - len(content) + len(content.rstrip(b"\n"))
    if rows != lines or any(column.startswith(COMMENTS) for column in columns):
        return None  # blank lines or fields over several lines: rows could not be named in errors
    return make_table(columns, name, range(2, rows + 2))


def _chunks(content: bytes, delimiter: str) -> dict[str, RawColumn]:
    """The columns of a file as pandas reads them, a part at a time; none where it does not."""
    import pandas as pd

    exact: dict[str, Any] = {} if pd.__version__ >= "3" else {"float_precision": "round_trip"}
    parts: dict[str, list[Any]] = {}
    try:
        for chunk in pd.read_csv(
            io.BytesIO(content), sep=delimiter, chunksize=CHUNK, keep_default_na=False,
            na_values=["nan", "NaN", ""], skipinitialspace=True, index_col=False, **exact,
        ):  # fmt: skip
            for column in chunk.columns:
                parts.setdefault(str(column).strip(), []).append(_compact(chunk[column]))
    except (ValueError, pd.errors.ParserError):
        return {}
    return {column: _whole(pieces) for column, pieces in parts.items()}


def _compact(series: Any) -> RawColumn:
    """A column of one chunk: numbers as an array, texts so that equal ones are one object."""
    if series.dtype.kind in "if":
        return np.asarray(series.to_numpy(), dtype=np.float64)
    seen: dict[Any, Any] = {}
    return [None if cell != cell else seen.setdefault(cell, cell) for cell in series.tolist()]


def _whole(pieces: list[RawColumn]) -> RawColumn:
    if all(isinstance(piece, np.ndarray) for piece in pieces):
        return np.concatenate(pieces)
    return [cell for piece in pieces for cell in piece]


def _unpacked(column: str, cells: RawColumn) -> RawColumn:
    """W&B's run table writes each run's config as the text of a dict; give the dicts back."""
    if column not in NESTED or not all(str(cell).startswith("{") for cell in cells if cell):
        return cells
    try:
        return [_literal(cell) if cell else {} for cell in cells]
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return cells


def _literal(cell: str) -> Mapping[str, Any]:
    try:
        found = strict_json(cell)
    except ValueError:
        found = ast.literal_eval(NOT_A_NUMBER.sub("None", cell))
    if not isinstance(found, Mapping):
        raise ValueError("not an object")
    return found
