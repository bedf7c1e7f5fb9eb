"""Files as one table: each unpacked, decoded and read as what its content or its name says it is."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hptransfer.errors import SweepError
from hptransfer.files import printable, strict_json
from hptransfer.plain_yaml import read_yaml
from hptransfer.sweep import binary
from hptransfer.sweep.content import STDIN, content_of, decoded, shown_name, unpacked
from hptransfer.sweep.curves import with_last_values
from hptransfer.sweep.delimited import read_delimited, read_large
from hptransfer.sweep.extract import EXAMPLE, read_log
from hptransfer.sweep.html_tables import PAGE, largest_table
from hptransfer.sweep.json_shapes import table_of_json
from hptransfer.sweep.markdown import is_markdown, read_markdown
from hptransfer.sweep.objects import from_records
from hptransfer.sweep.options import ReadOptions
from hptransfer.sweep.printed_logs import read_lines
from hptransfer.sweep.raw_table import RawTable, concat
from hptransfer.sweep.rows import from_rows
from hptransfer.sweep.table import Source
from hptransfer.sweep.text_tables import drawn_table
from hptransfer.sweep.wide import lengthen

KINDS = {
    ".csv": "csv", ".tsv": "csv", ".tab": "csv", ".json": "json", ".yaml": "yaml", ".yml": "yaml",
    ".html": "html", ".htm": "html", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".md": "markdown", ".markdown": "markdown", ".parquet": "parquet", ".pq": "parquet",
    ".feather": "feather", ".arrow": "feather", ".xlsx": "workbook", ".db": "sqlite", ".sqlite": "sqlite",
    ".sqlite3": "sqlite",
}  # fmt: skip
BINARY = {
    "parquet": binary.read_parquet, "feather": binary.read_feather, "workbook": binary.read_workbook,
    "sqlite": binary.read_sqlite,
}  # fmt: skip
NOT_FINITE = re.compile(r"(?<=[:,\[-] )([-+]?)\.(nan|inf)(?=\s*(?:[,}\]#\n]|$))", re.IGNORECASE)
PROSE = re.compile(r"[A-Za-z]{2,} [a-z]+ [a-z]+")


def read_files(paths: Sequence[str | os.PathLike[str]], options: ReadOptions) -> RawTable:
    """The rows of all files, one file after the other; rows have the file's name in the column `file`.

    Raises:
        SweepError: where a file cannot be opened, is not of a known format, or has no rows.
    """
    digest = hashlib.sha256()
    tables = []
    for path in map(str, paths):
        tables += _tables(path, digest, options)
    whole = concat(tables)
    stems = [_stem(name) for name in whole.names]
    source = Source(", ".join(map(str, paths)), digest.hexdigest())
    if "file" in whole.columns:
        return replace(whole, source=source)
    return replace(
        whole, source=source, columns={"file": [stems[i] for i in whole.origin.tolist()], **whole.columns}
    )


def _tables(path: str, digest: hashlib._Hash, options: ReadOptions) -> list[RawTable]:
    """The tables in a file, which is no longer held in memory when they are returned."""
    content = content_of(path)
    digest.update(content)
    return [_parse(part, inner, options) for inner, part in unpacked(content, path)]


def _stem(name: str) -> str:
    return Path(name.rpartition(":")[2]).stem


def _parse(content: bytes, path: str, options: ReadOptions) -> RawTable:
    name = printable(shown_name(path))
    kind = KINDS.get(Path(path).suffix.lower())
    reader = next((reader for magic, reader in binary.READERS.items() if content.startswith(magic)), None)
    if reader is not None or kind in BINARY:
        return (reader or BINARY[kind])(content, name, options)  # type: ignore[index]
    if kind in (None, "csv") and (large := read_large(content, name, options)) is not None:
        return lengthen(large, options)
    text, encoding = decoded(content, name)
    table = _text_table(text, name, "" if path == STDIN else kind or "", options)
    note = () if encoding is None else (f"{name} is read as {encoding} text",)
    return replace(table, notes=(*note, *table.notes))


def _text_table(text: str, name: str, kind: str, options: ReadOptions) -> RawTable:
    if options.extract is not None:
        return read_log(text, name, options.extract)
    kind = kind or _sniff(text)
    if kind == "html" and (cells := largest_table(text)) is not None:
        return lengthen(from_rows(*cells, name, options), options)
    if kind == "yaml":
        return lengthen(with_last_values(_yaml(text, name), options.take), options)
    if kind == "json":
        return lengthen(with_last_values(_json(text, name), options.take), options)
    if kind == "jsonl":
        return lengthen(with_last_values(_jsonl(text, name), options.take), options)
    if kind == "markdown" or (kind != "csv" and is_markdown(text)):
        return read_markdown(text, name, options)
    if kind != "csv" and (drawn := drawn_table(text)) is not None:
        return lengthen(from_rows(drawn.rows, drawn.numbers, name, options), options)
    if kind != "csv" and (lines := read_lines(text, name)) is not None:
        return lines
    try:
        return lengthen(read_delimited(text, name, options), options)
    except SweepError as error:
        if "fields" in str(error) and PROSE.search(text[:2000]) and kind != "csv":
            raise SweepError(
                f"{name} is no table; the values in a printed log are found by --extract, for "
                f"instance --extract "
                f"{EXAMPLE}"
            ) from None
        raise


def _sniff(text: str) -> str:
    """The format of a text whose file's name does not tell; empty where it is some table of lines."""
    if PAGE.match(text):
        return "html"
    return "json" if re.match(r"\s*(?:\{|\[\s*[\[{\]])", text) else ""


def _yaml(text: str, name: str) -> RawTable:
    try:
        data = read_yaml(NOT_FINITE.sub(r'"\1\2"', text))  # plain YAML has no such numbers; a loss may be one
    except ValueError as error:
        raise SweepError(f"{name} is not valid YAML: {error}") from None
    return table_of_json(data, name)


def _json(text: str, name: str) -> RawTable:
    try:
        data = strict_json(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":  # one object a line, under the name .json
            return _jsonl(text, name)
        if (lines := read_lines(text, name)) is not None:  # dicts as Python prints them
            return lines
        raise SweepError(f"{name} is not valid JSON: {error}") from None
    except (ValueError, RecursionError) as error:
        raise SweepError(f"{name} is not valid JSON: {error}") from None
    return table_of_json(data, name)


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
