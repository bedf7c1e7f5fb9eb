"""Finished runs with their specs and whatever a store keeps, as one file that travels.

`runs.csv` is for reading; this table takes runs trained on one machine into a study's store on another.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pydantic import ValidationError

from hptransfer.errors import StoreError
from hptransfer.files import write_whole
from hptransfer.runs.config import RunRecord, RunSpec
from hptransfer.runs.decode import run_from
from hptransfer.study.store_schema import NARROW, rest_of, whole_record

RECORD_COLUMNS = ("run_id", "status", *NARROW, "spec", "rest", "origin")
ENDINGS = (".records.csv", ".records.csv.gz")  # of a record table, to distinguish it from runs.csv
MAX_CELL = 16 << 20  # characters of one cell: a run's curve and probes take some kilobytes


@dataclass(frozen=True)
class TableRow:
    """One finished run of a record table."""

    run: RunSpec  # what decided its numbers
    record: RunRecord  # what it gave
    origin: Mapping[str, Any]  # provenance of the session that trained it: commit, hardware, versions


def write_records(rows: Iterable[TableRow], path: Path) -> int:
    """Write finished runs as a record table, whole or not at all; failed ones are left out.

    The name ends in `.records.csv`, or in `.records.csv.gz` to be compressed.

    Returns:
        Rows written.

    Raises:
        StoreError: the file cannot be written, or its name ends otherwise.
    """
    check_name(path)
    text = io.StringIO()
    cells = [_cells(row) for row in rows if row.record.status != "failed"]
    csv.writer(text, lineterminator="\n").writerows([RECORD_COLUMNS, *cells])
    content = text.getvalue().encode()
    try:
        # Without a time in its header the same runs are the same bytes.
        write_whole(path, gzip.compress(content, 6, mtime=0) if path.suffix == ".gz" else content)
    except OSError as error:
        raise StoreError(
            f"a record table must go to a writable file, but {path}: {error.strerror}"
        ) from error
    return len(cells)


def read_records(path: Path) -> list[TableRow]:
    """The runs of a record table.

    Raises:
        StoreError: the file cannot be read, is no record table, or a row of it is not as it was written; one
            line that names the row.
    """
    check_name(path)
    limit = csv.field_size_limit(MAX_CELL)
    try:
        open_ = gzip.open if path.suffix == ".gz" else open
        with open_(path, "rt", encoding="utf-8", newline="") as file:
            return [_row(cells, f"{path}, row {n}") for n, cells in enumerate(_reader(file, path), 2)]
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise StoreError(f"a record table must be a readable CSV file, but {path}: {reason}") from error
    finally:
        csv.field_size_limit(limit)  # of the whole process


def check_name(path: Path) -> None:
    """Refuse a name that does not say what the file is."""
    if not path.name.endswith(ENDINGS):
        raise StoreError(f"a record table's name must end in {' or '.join(ENDINGS)}, but got {path}")


def _cells(row: TableRow) -> list[object]:
    record = row.record
    narrow = [getattr(record, name) for name in NARROW]
    objects = (row.run.model_dump(mode="json"), rest_of(record), row.origin)
    return [
        record.run_id,
        record.status,
        *("" if v is None or (isinstance(v, float) and not math.isfinite(v)) else v for v in narrow),
        *(json.dumps(value, separators=(",", ":")) for value in objects),
    ]


def _reader(file: IO[str], path: Path) -> Iterator[Sequence[str]]:
    reader = csv.reader(file)
    head = tuple(next(reader, ()))
    if head != RECORD_COLUMNS:
        missing = [name for name in RECORD_COLUMNS if name not in head]
        what = f"lacks {', '.join(missing)}" if missing else f"has {', '.join(head)}"
        raise StoreError(f"a record table must be one that `runs export` wrote, but {path} {what}")
    return reader


def _row(cells: Sequence[str], where: str) -> TableRow:
    if len(cells) != len(RECORD_COLUMNS):
        raise StoreError(f"{where}: a row must have {len(RECORD_COLUMNS)} cells, but has {len(cells)}")
    by_name = dict(zip(RECORD_COLUMNS, cells, strict=True))
    try:
        spec, rest, origin = (dict(json.loads(by_name[name])) for name in ("spec", "rest", "origin"))
        run = run_from(spec)
        narrow = {name: by_name[name] or None for name in ("run_id", "status", *NARROW)}
        record = whole_record(narrow, rest)
    except (KeyError, ValueError, TypeError, ValidationError) as error:
        cause = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise StoreError(f"{where}: a run must be as it was written, but: {cause}") from error
    if run.run_id != record.run_id:
        raise StoreError(
            f"{where}: a run's id must be the hash of its spec, which is {run.run_id}, but it is "
            f"{record.run_id}: the spec was edited, or another version wrote it"
        )
    return TableRow(run, record, origin)
