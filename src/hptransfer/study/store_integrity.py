"""What tells whether a store is as it was written: a checksum of every row, and a count of commits."""

from __future__ import annotations

import dataclasses
import sqlite3
import zlib
from contextlib import suppress
from pathlib import Path

from hptransfer.errors import StoreError
from hptransfer.files import printable, read_regular, write_whole
from hptransfer.runs.config import RunRecord, RunSpec
from hptransfer.study import store_schema
from hptransfer.study.store_schema import PLACES, RUNS
from hptransfer.words import count, plural

COUNT_FILE = "study.count"  # beside the store: how many commits it must hold

_RUN = f"row_sum({', '.join(f'r.{name}' for name in RUNS)}, d.content)"
_PLACE = f"row_sum({', '.join(f'm.{name}' for name in PLACES)})"
SEAL_RUN = (
    f"INSERT OR REPLACE INTO checks SELECT 'run', r.run_id, {_RUN} "
    "FROM runs r LEFT JOIN details d USING (run_id) WHERE r.run_id = ?"
)
SEAL_PLACE = (
    f"INSERT OR REPLACE INTO checks SELECT 'place', m.run_id, {_PLACE} FROM members m WHERE m.run_id = ?"
)
SEAL_SPEC = "INSERT OR REPLACE INTO checks SELECT 'spec', key, row_sum(value) FROM meta WHERE key = 'spec'"
_WRONG = f"""
SELECT 'run', r.run_id FROM runs r LEFT JOIN details d USING (run_id)
  LEFT JOIN checks c ON c.kind = 'run' AND c.id = r.run_id WHERE c.sum IS NOT {_RUN}
UNION ALL SELECT 'place', m.run_id FROM members m
  LEFT JOIN checks c ON c.kind = 'place' AND c.id = m.run_id WHERE c.sum IS NOT {_PLACE}
UNION ALL SELECT 'spec', key FROM meta
  LEFT JOIN checks c ON c.kind = 'spec' AND c.id = key WHERE key = 'spec' AND c.sum IS NOT row_sum(value)
UNION ALL SELECT kind, id FROM checks WHERE kind = 'run' AND id NOT IN (SELECT run_id FROM runs)
"""


def add_checksums(db: sqlite3.Connection) -> None:
    """Give a connection the function that the statements of this module call."""
    db.create_function("row_sum", -1, _row_sum, deterministic=True)


def _row_sum(*values: object) -> int:
    """Checksum of a row's values, as SQLite holds them."""
    found = 0
    for value in values:
        text = value if isinstance(value, bytes) else repr(value).encode(errors="backslashreplace")
        found = zlib.crc32(b"\x1f", zlib.crc32(text, found))
    return found


def wrong_rows(db: sqlite3.Connection) -> list[tuple[str, str]]:
    """Kind (run, place, spec) and id of every row that is not as it was written, or is missing."""
    return [(str(kind), str(id_)) for kind, id_ in db.execute(_WRONG)]


def storable(spec: RunSpec, record: RunRecord) -> RunRecord:
    """The record, where a store can hold it and give it back; else a failed one that says why not."""
    try:
        row = store_schema.narrow("", record, None, "")
        for value in (*row, *(step for step, _ in record.curve)):
            if isinstance(value, int) and abs(value) >= 2**63:
                raise ValueError(f"a number has {value.bit_length()} bits")
            if isinstance(value, str):
                value.encode()
        if record.run_id != spec.run_id:
            raise ValueError(f"it is of run {record.run_id}")
        content = store_schema.detail(spec, record)
        store_schema.record_of((row[0], row[2], *row[3 : 3 + len(store_schema.NARROW)]), content)
    except (ValueError, TypeError, OverflowError, KeyError, RecursionError) as error:
        cause = " ".join(printable(str(error)).split())
        return dataclasses.replace(
            RunRecord(spec.run_id, "failed", float("nan"), tokens=spec.tokens),
            error=f"a record must be one that a store can hold, but: {cause:.200}",
        )
    return record


def read_count(folder: Path) -> int:
    """How many commits the store in a folder must hold; 0 where nothing is known."""
    with suppress(OSError, ValueError):
        return int(read_regular(folder / COUNT_FILE, 64))
    return 0


def write_count(folder: Path, commits: int) -> None:
    """Write it down, after a commit; a full disk costs the check, not the study."""
    with suppress(OSError):
        write_whole(folder / COUNT_FILE, f"{commits}\n".encode())


def check_count(path: Path, commits: int, expected: int) -> None:
    """Refuse a store that holds fewer commits than it once did.

    Raises:
        StoreError: it does: its write-ahead log is missing or was cut, or an older copy took its place.
    """
    if commits < expected:
        rest = f"go on with what is there by `hptransfer runs repair {path.parent}`"
        raise StoreError(
            f"{path} must hold {plural(expected, 'commit')}, but lacks the last "
            f"{count(expected - commits)}: its write-ahead log ({path.name}-wal) was removed or cut, "
            f"or this is an older copy; restore it, or "
            f"{rest if commits else 'move it away to start anew'}"
        )
