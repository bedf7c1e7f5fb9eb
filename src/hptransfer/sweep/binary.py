"""Binary files as tables: Parquet, Feather, Excel workbooks and SQLite databases."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any

from hptransfer.errors import MissingExtraError, SweepError
from hptransfer.files import printable
from hptransfer.sweep.guards import check_cells
from hptransfer.sweep.objects import from_frame
from hptransfer.sweep.options import ReadOptions
from hptransfer.sweep.raw_table import RawTable, concat, make_table, shown
from hptransfer.sweep.rows import check_unique, from_rows
from hptransfer.sweep.wide import lengthen
from hptransfer.words import plural

SMALL = 4_000_000  # bytes of a workbook that is read whole
SHEET = "sheet"  # column of the sheet's name, where several sheets are read


def read_parquet(content: bytes, name: str, _: ReadOptions) -> RawTable:
    """The table of a Parquet file."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingExtraError("parquet", f"reading {name}") from None
    try:
        file = pq.ParquetFile(io.BytesIO(content))
        check_cells(file.metadata.num_rows, file.metadata.num_columns, name)
        frame = file.read()
        names = frame.column_names
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:  # also names that are no UTF-8
        cause = " ".join(printable(str(error)).split())
        raise SweepError(f"{name} is not a Parquet file: {cause}") from None
    check_unique(names, name)
    return from_frame(frame, name)


def read_feather(content: bytes, name: str, _: ReadOptions) -> RawTable:
    """The table of a Feather or Arrow file."""
    try:
        import pyarrow as pa
        import pyarrow.feather as feather
    except ImportError:
        raise MissingExtraError("parquet", f"reading {name}") from None
    try:
        frame = feather.read_table(io.BytesIO(content))
        names = frame.column_names
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        cause = " ".join(printable(str(error)).split())
        raise SweepError(f"{name} is not a Feather file: {cause}") from None
    check_unique(names, name)
    return from_frame(frame, name)


def read_workbook(content: bytes, name: str, options: ReadOptions) -> RawTable:
    """The sheets of an Excel workbook (xlsx); where several are read, the column `sheet` has their names.

    Raises:
        SweepError: where it is damaged, or has no sheet that is wanted.
    """
    try:
        import openpyxl
    except ImportError:
        raise MissingExtraError("excel", f"reading {name}") from None
    try:
        small = (
            len(content) < SMALL
        )  # a larger one is read a row at a time, which tells nothing of merged cells
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=not small, data_only=True)
        sheets = {sheet.title: _cells(sheet) for sheet in book.worksheets}
    except Exception as error:  # a damaged file ends in errors of many kinds
        raise SweepError(f"{name} is not an Excel workbook: {error}") from None
    if options.query is not None and options.query not in sheets:
        raise SweepError(
            f"--query must name a sheet of {name}, one of {', '.join(sheets)}, but got {options.query}"
        )
    wanted = {key: rows for key, rows in sheets.items() if options.query in (None, key)}
    tables, problems = [], []
    for title, rows in wanted.items():
        try:
            table = lengthen(from_rows(rows, range(1, len(rows) + 1), f"{name} [{title}]", options), options)
        except (SweepError, IndexError) as error:
            problems.append(str(error))
            continue
        tables.append(replace(table, columns={**table.columns, SHEET: [title] * len(table)}))
    if not tables:
        raise SweepError(problems[0] if problems else f"{name} has no sheets")
    head = max((set(table.columns) for table in tables), key=len)
    alike = [
        table for table in tables if set(table.columns) == head
    ]  # a workbook has notes beside its sweeps
    if len(alike) == 1:
        only = alike[0]
        return replace(only, columns={key: cells for key, cells in only.columns.items() if key != SHEET})
    return concat(alike)


def _cells(sheet: Any) -> list[list[Any]]:
    """The values of a sheet, row by row; what stands in cells merged over rows in each of these."""
    rows = [list(row) for row in sheet.iter_rows(values_only=True)]
    for merged in getattr(getattr(sheet, "merged_cells", None), "ranges", ()):
        for row in range(merged.min_row, merged.max_row + 1):
            rows[row - 1][merged.min_col - 1] = rows[merged.min_row - 1][merged.min_col - 1]
    return rows


def read_sqlite(content: bytes, name: str, options: ReadOptions) -> RawTable:
    """A table of an SQLite database, or what a query gives.

    Raises:
        SweepError: where it is damaged, has several tables and none is named, or the query fails.
    """
    with closing(sqlite3.connect(":memory:")) as database:
        try:
            database.deserialize(content)
            found = database.execute(
                "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
            ).fetchall()
            tables = [table for (table,) in found if not table.startswith("sqlite_")]
            query = _query(tables, options.query, name)
            cursor = database.execute(query)
            rows = cursor.fetchall()
        except sqlite3.Error as error:
            said = f" for {shown(options.query, 80)}" if options.query else ""
            raise SweepError(f"cannot read the SQLite database {name}{said}: {error}") from None
    if cursor.description is None:
        raise SweepError(f"--query must select rows of {name}, but got {shown(options.query, 80)}")
    columns = {column[0]: [row[i] for row in rows] for i, column in enumerate(cursor.description)}
    return lengthen(make_table(columns, name, range(1, len(rows) + 1)), options)


def _query(tables: list[str], wanted: str | None, name: str) -> str:
    if wanted is None:
        if len(tables) != 1:
            raise SweepError(
                f"{name} has {plural(len(tables), 'table')}: choose one with --query TABLE, or give a "
                f"query, --query 'SELECT ...'; tables: {', '.join(tables[:12])}"
            )
        wanted = tables[0]
    return (
        wanted if " " in wanted and wanted not in tables else f'SELECT * FROM "{wanted.replace(chr(34), "")}"'
    )


READERS: dict[bytes, Callable[[bytes, str, ReadOptions], RawTable]] = {  # by the first bytes of the file
    b"PAR1": read_parquet,
    b"ARROW1": read_feather,
    b"FEA1": read_feather,
    b"PK\x03\x04": read_workbook,
    b"SQLite format 3\x00": read_sqlite,
}
