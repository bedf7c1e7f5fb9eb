"""A damaged store, as far as it can be read, put into a new one; the old file is kept beside it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hptransfer.errors import HPTransferError, StoreError
from hptransfer.study import store_integrity, store_schema
from hptransfer.study.lock import take_lock
from hptransfer.study.merge import assign_places
from hptransfer.study.store import STORE_FILE, Store, no_study
from hptransfer.study.store_schema import APPLICATION, RUNS, STORE_SCHEMA
from hptransfer.version import __version__

_DRAFT = "study.repaired.part"  # beside the store
_OTHERS = ("-wal", "-shm")  # files that SQLite keeps beside its own


@dataclass(frozen=True)
class Repaired:
    """What became of a store."""

    kept: int  # runs that are as they were written
    lost: tuple[str, ...]  # ids of runs that are not; they are trained again
    spec: bool  # whether the study's spec was sound; else the next `run` brings it
    aside: Path  # the old file


def repair(folder: Path) -> Repaired:
    """Keep what is sound of a study's store.

    Raises:
        StoreError: there is no store, a driver is running the study, nothing of the file can be read, or it
            is of another schema.
    """
    path = folder / STORE_FILE
    if not path.is_file():
        raise no_study(folder)
    lock = take_lock(folder)
    try:
        found = _rescue(path, folder / _DRAFT)
    finally:
        os.close(lock)
    if found.spec:
        with suppress(HPTransferError), Store(folder) as store:  # else the next `run` does it
            assign_places(store, store.spec())
    return found


def _rescue(path: Path, draft: Path) -> Repaired:
    for leftover in (draft, *(draft.with_name(draft.name + end) for end in _OTHERS)):
        leftover.unlink(missing_ok=True)
    with closing(_opened(path)) as old, closing(store_schema.connect(draft, read_only=False)) as new:
        store_integrity.add_checksums(new)
        new.execute("BEGIN")
        store_schema.create(new, {"created_by": __version__, "created": _now(), "commits": "1"})
        kept, lost = _copy_runs(old, new)
        spec = _copy_study(old, new)
        new.execute("COMMIT")
        new.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    aside = path.with_name(f"study.damaged-{_now().replace(':', '')}.sqlite")
    for end in ("", *_OTHERS):
        with suppress(FileNotFoundError):
            os.replace(path.with_name(path.name + end), aside.with_name(aside.name + end))
    os.replace(draft, path)
    store_integrity.write_count(path.parent, 1)
    return Repaired(kept, lost, spec, aside)


def _opened(path: Path) -> sqlite3.Connection:
    """The old file, to be read as far as it goes."""
    old = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)
    old.text_factory = lambda data: data.decode(errors="replace")
    try:
        store_integrity.add_checksums(old)
        kind = (_number(old, "application_id"), _number(old, "user_version"))
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        old.close()
        raise StoreError(f"{path} must be readable in part, but nothing of it is: {error}") from None
    if kind != (APPLICATION, STORE_SCHEMA):
        old.close()
        raise StoreError(f"{path} must be a store of schema {STORE_SCHEMA}, but its marks are {kind}")
    return old


def _number(db: sqlite3.Connection, pragma: str) -> int:
    return int(db.execute(f"PRAGMA {pragma}").fetchone()[0])


def _copy_runs(old: sqlite3.Connection, new: sqlite3.Connection) -> tuple[int, tuple[str, ...]]:
    """Copy every sound run; returns how many, and the ids of the others."""
    sums = {id_: total for kind, id_, total in _rows(old, "checks", ("kind", "id", "sum")) if kind == "run"}
    details = dict(_rows(old, "details", ("run_id", "content")))
    kept: set[str] = set()
    for row in _rows(old, "runs", RUNS):
        run_id, content = row[0], details.get(row[0])
        total = new.execute(f"SELECT row_sum({', '.join('?' * (len(row) + 1))})", (*row, content)).fetchone()[
            0
        ]
        if content is not None and sums.get(run_id) == total:
            new.execute(f"INSERT OR IGNORE INTO runs VALUES ({', '.join('?' * len(row))})", row)
            new.execute("INSERT OR IGNORE INTO details VALUES (?, ?)", (run_id, content))
            new.execute(store_integrity.SEAL_RUN, (run_id,))
            kept.add(run_id)
    return len(kept), tuple(sorted(sums.keys() - kept))


def _copy_study(old: sqlite3.Connection, new: sqlite3.Connection) -> bool:
    """Copy the sessions, and the spec where it is sound; returns whether it was."""
    for row in _rows(old, "sessions", ("id", "started", "provenance")):
        with suppress(sqlite3.Error):
            new.execute("INSERT OR IGNORE INTO sessions VALUES (?, ?, ?)", row)
    meta = dict(_rows(old, "meta", ("key", "value")))
    sums = [total for kind, _, total in _rows(old, "checks", ("kind", "id", "sum")) if kind == "spec"]
    if "spec" not in meta:
        return False
    if sums != [new.execute("SELECT row_sum(?)", (meta["spec"],)).fetchone()[0]]:
        return False
    new.execute("INSERT INTO meta VALUES ('spec', ?)", (meta["spec"],))
    new.execute(store_integrity.SEAL_SPEC)
    return True


def _rows(db: sqlite3.Connection, table: str, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """A table's rows from its start to the first page that cannot be read, and from its end likewise."""
    seen: set[tuple[Any, ...]] = set()
    keys = {"checks": "kind {0}, id {0}", "meta": "key {0}", "sessions": "id {0}"}.get(table, "run_id {0}")
    for direction in ("ASC", "DESC"):
        with suppress(
            sqlite3.DatabaseError, UnicodeDecodeError
        ):  # the latter of an error that quotes the file
            for row in db.execute(
                f"SELECT {', '.join(columns)} FROM {table} ORDER BY {keys.format(direction)}"
            ):
                if row not in seen:
                    seen.add(row)
                    yield row
            return


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").removesuffix("+00:00")
