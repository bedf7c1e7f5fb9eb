"""Files as tables: CSV, TSV, JSON, JSONL and Parquet."""

from __future__ import annotations

import ast
import csv
import hashlib
import io
import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hptransfer.errors import MissingExtraError, SweepError
from hptransfer.files import printable, strict_json
from hptransfer.sweep.guards import check_cells, read_content
from hptransfer.sweep.objects import from_frame, from_mapping, from_records
from hptransfer.sweep.raw_table import RawColumn, RawTable, concat, make_table, shown
from hptransfer.sweep.table import Source

FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
NESTED = ("config", "summary")  # columns of W&B's run table that hold a whole dict as text
NOT_A_NUMBER = re.compile(r"(?<=: )-?(?:nan|inf)(?=[,}])")  # Python's repr of floats that it cannot read back


def read_files(paths: Sequence[str | os.PathLike[str]]) -> RawTable:
    """The rows of all files, one file after the other.

    Raises:
        SweepError: where a file cannot be opened, is not of a known format, or has no rows.
    """
    digest = hashlib.sha256()
    tables = []
    for path in paths:
        content = read_content(path)
        digest.update(content)
        tables.append(_parse(content, printable(str(path)), Path(path).suffix.lower()))
    source = Source(", ".join(str(path) for path in paths), digest.hexdigest())
    return replace(concat(tables), source=source)


def _parse(content: bytes, name: str, suffix: str) -> RawTable:
    kind = FORMATS.get(suffix) or _sniff(content)
    if kind == "parquet":
        return _parquet(content, name)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SweepError(f"{name} must be UTF-8 text, but byte {error.start} is not") from None
    if "\0" in text:
        raise SweepError(f"{name} must be UTF-8 text, but byte {text.index(chr(0))} is 0")
    if kind == "csv":
        return _csv(text, name)
    return _json(text, name) if kind == "json" else _jsonl(text, name)


def _sniff(content: bytes) -> str:
    """The format of a file whose name does not tell."""
    if content.startswith(b"PAR1"):
        return "parquet"
    return "json" if content.lstrip()[:1] in (b"{", b"[") else "csv"


def _csv(text: str, name: str) -> RawTable:
    delimiter = _delimiter(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows, numbers, header = [], [], None
    try:
        for fields in reader:
            if not fields or (len(fields) == 1 and not fields[0].strip()):
                continue
            if header is None:
                header = [field.strip() for field in fields]
                continue
            if len(fields) != len(header):
                raise SweepError(
                    f"every row must have as many fields as the header, but row {reader.line_num} of {name} "
                    f"has {len(fields)} and the header {len(header)}"
                )
            rows.append(fields)
            numbers.append(reader.line_num)
    except csv.Error as error:
        raise SweepError(f"{name} is not a CSV file: row {reader.line_num}: {error}") from None
    if header is None or not rows:
        raise SweepError(f"a sweep table needs at least one run, but {name} has a header and no rows")
    _check_unique(header, name)
    columns = {column: list(cells) for column, cells in zip(header, zip(*rows, strict=True), strict=True)}
    return make_table({key: _unpacked(key, cells) for key, cells in columns.items()}, name, numbers)


def _delimiter(text: str) -> str:
    """Comma, tab or semicolon: what the first line has most of."""
    header = text.lstrip().partition("\n")[0]
    return max(",\t;", key=header.count)


def _check_unique(header: list[str], name: str) -> None:
    twice = [column for column, count in Counter(header).items() if count > 1 and column]
    if twice:
        raise SweepError(f"column names must be unique, but {name} has {shown(twice[0])} more than once")


def _unpacked(column: str, cells: RawColumn) -> RawColumn:
    """W&B's run table writes each run's config as the text of a dict; give the dicts back."""
    if column not in NESTED or not all(cell.startswith("{") for cell in cells if cell):
        return cells
    try:
        return [_literal(cell) if cell else {} for cell in cells]
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return cells


def _literal(cell: str) -> Any:
    try:
        return strict_json(cell)
    except ValueError:
        return ast.literal_eval(NOT_A_NUMBER.sub("None", cell))


def _json(text: str, name: str) -> RawTable:
    try:
        data = strict_json(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":  # one object a line, under the name .json
            return _jsonl(text, name)
        raise SweepError(f"{name} is not valid JSON: {error}") from None
    except (ValueError, RecursionError) as error:
        raise SweepError(f"{name} is not valid JSON: {error}") from None
    if isinstance(data, dict):
        return from_mapping(data, name)
    if isinstance(data, list):
        return from_records(data, name)
    raise SweepError(f"{name} must hold a list of runs or an object of columns, but holds {shown(data)}")


def _jsonl(text: str, name: str) -> RawTable:
    records, numbers = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            records.append(strict_json(line))
        except (ValueError, RecursionError) as error:
            raise SweepError(f"{name} must hold one JSON object a line, but row {number}: {error}") from None
        numbers.append(number)
    return from_records(records, name, numbers)


def _parquet(content: bytes, name: str) -> RawTable:
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
    _check_unique(names, name)
    return from_frame(frame, name)
