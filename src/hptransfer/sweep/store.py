"""Store: the finished runs of a study in one SQLite file, with the driver as its only writer."""

from __future__ import annotations

import json
import math
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hptransfer.errors import StoreError
from hptransfer.lm.config import RunRecord, RunSpec
from hptransfer.version import __version__

FILE = "study.sqlite"
LOCK = "study.lock"
SCHEMA = 1  # raise when a table changes meaning
APPLICATION = 0x68707473  # marks the file as a study of ours

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE sessions (id INTEGER PRIMARY KEY, started TEXT NOT NULL, provenance TEXT NOT NULL);
CREATE TABLE runs (
  run_id TEXT PRIMARY KEY, spec TEXT NOT NULL, stack_id TEXT NOT NULL, status TEXT NOT NULL,
  loss REAL, loss_se REAL, initial_loss REAL, diverged_step INTEGER, tokens INTEGER, params INTEGER,
  flops REAL, wall_s REAL, curve TEXT, engine TEXT, versions TEXT, error TEXT, session INTEGER, finished TEXT
) WITHOUT ROWID;
"""
_COLUMNS = (
    "run_id, spec, stack_id, status, loss, loss_se, initial_loss, diverged_step, tokens, params, "
    "flops, wall_s, curve, engine, versions, error, session, finished"
)
# A finished run is never overwritten: only a failed one makes room for its retry.
_UPSERT = (
    f"INSERT INTO runs ({_COLUMNS}) VALUES ({', '.join('?' * 18)}) ON CONFLICT (run_id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS.split(", ")[1:])
    + " WHERE runs.status = 'failed'"
)


class Store:
    """An open store. Use as a context manager, so that the file is closed and the lock is given back.

    Arguments:
        folder: of the study; made where it is missing, unless `read_only`.
        read_only: without the lock and without a right to write, also while a driver is at work.

    Raises:
        StoreError: the folder cannot be written, another driver is running the study, the file is damaged,
            or it was made by another version. So does every method where the file cannot be read or written.
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self.path = Path(folder) / FILE
        self._lock: int | None = None
        self._session: int | None = None
        if read_only and not self.path.is_file():
            raise StoreError(f"a study's folder must hold {FILE}, but {folder} does not")
        if not read_only:
            self._lock = _take_lock(Path(folder))
        try:
            with self._told():
                self._db = _connect(self.path, read_only)
                self._check(read_only)
        except StoreError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and give the lock back."""
        if hasattr(self, "_db"):
            self._db.close()
        if self._lock is not None:
            os.close(self._lock)  # which unlocks it; the file stays, since removing it would race
            self._lock = None

    def begin(self, spec: Mapping[str, Any], provenance: Mapping[str, Any]) -> None:
        """Open a session: keep the study's spec, and where this session's runs come from."""
        with self._transaction():
            self._db.execute(
                "INSERT OR REPLACE INTO meta VALUES ('spec', ?)", (json.dumps(spec, allow_nan=False),)
            )
            cursor = self._db.execute(
                "INSERT INTO sessions (started, provenance) VALUES (?, ?)", (_now(), json.dumps(provenance))
            )
            self._session = cursor.lastrowid

    def add(self, stack_id: str, results: Sequence[tuple[RunSpec, RunRecord]]) -> None:
        """Keep a stack's results, all or none, safe on disk when this returns."""
        rows = [_row(stack_id, spec, record, self._session) for spec, record in results]
        with self._transaction():
            self._db.executemany(_UPSERT, rows)

    def losses(self) -> dict[str, float]:
        """Loss by run id of every finished run, in nats; infinite where diverged, absent where failed."""
        with self._told():
            found = self._db.execute(
                "SELECT run_id, status, loss FROM runs WHERE status != 'failed'"
            ).fetchall()
        return {run_id: _level(status, loss) for run_id, status, loss in found}

    def records(self) -> dict[str, RunRecord]:
        """Every run's record by run id, failed ones included."""
        with self._told():
            found = self._db.execute(f"SELECT {_COLUMNS} FROM runs").fetchall()
            return {row[0]: _record(row) for row in found}

    def spec(self) -> dict[str, Any]:
        """The study's spec, as of the last session."""
        with self._told():
            found = self._db.execute("SELECT value FROM meta WHERE key = 'spec'").fetchone()
            if found is None:
                raise StoreError(f"{self.path} holds no study yet: it was made, but never started")
            return dict(json.loads(found[0]))

    def sessions(self) -> list[dict[str, Any]]:
        """Start and provenance of every session, oldest first."""
        with self._told():
            found = self._db.execute("SELECT started, provenance FROM sessions ORDER BY id").fetchall()
            return [{"started": started, **json.loads(text)} for started, text in found]

    def _check(self, read_only: bool) -> None:
        """Make the tables of a new file; refuse one that is not ours, of another version, or damaged."""
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        (tables,) = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not tables and not version and not read_only:
            self._create()
        (application,) = self._db.execute("PRAGMA application_id").fetchone()
        if application != APPLICATION:
            raise StoreError(f"{self.path} must be a study's store, but is another program's SQLite file")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version != SCHEMA:
            found = self._db.execute("SELECT value FROM meta WHERE key = 'created_by'").fetchone()
            raise StoreError(
                f"{self.path} must have store schema {SCHEMA} (hptransfer {__version__}), but has schema "
                f"{version} (hptransfer {found[0] if found else 'unknown'}): use that one, or another folder"
            )
        (verdict,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)

    def _create(self) -> None:
        with self._transaction():
            for statement in _TABLES.strip().split(";\n"):
                self._db.execute(statement)
            meta = {"created_by": __version__, "created": _now()}
            self._db.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
            self._db.execute(f"PRAGMA application_id = {APPLICATION}")
            self._db.execute(f"PRAGMA user_version = {SCHEMA}")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._told():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        """SQLite's errors, and values it cannot have written, as one line that says what to do."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise StoreError(f"{self.path} must be readable and writable, but: {error}") from error
        except (sqlite3.DatabaseError, ValueError) as error:
            cause = " ".join(str(error).split())
            raise StoreError(
                f"{self.path} is damaged ({cause}): move it away to start anew, or bring back a copy"
            ) from error


def _connect(path: Path, read_only: bool) -> sqlite3.Connection:
    mode = "ro" if read_only else "rwc"
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    db = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=10.0)
    if not read_only:
        db.execute("PRAGMA journal_mode = WAL")
        # A commit comes once a stack, after seconds or hours of training, so waiting for the disk costs
        # nothing, and a finished run survives even a power cut.
        db.execute("PRAGMA synchronous = FULL")
    return db


def _take_lock(folder: Path) -> int:
    """An exclusive lock that the kernel gives back when this process ends, however it ends."""
    import fcntl

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StoreError(f"a study's folder must be writable, but {folder}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(lock)
        raise StoreError(
            f"a study must have one driver, but process {holder} is running the one in {folder}: "
            "wait for it, or end it"
        ) from None
    except OSError as error:  # a file system without locks
        os.close(lock)
        raise StoreError(f"a study's folder must allow file locks, but {folder}: {error.strerror}") from error
    try:
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    except OSError as error:
        os.close(lock)
        raise StoreError(f"a study's folder must be writable, but {folder}: {error.strerror}") from error
    return lock


def _row(stack_id: str, spec: RunSpec, record: RunRecord, session: int | None) -> tuple[Any, ...]:
    return (
        record.run_id,
        spec.model_dump_json(),
        stack_id,
        record.status,
        _finite(record.loss),
        _finite(record.loss_se),
        _finite(record.initial_loss),
        record.diverged_step,
        record.tokens,
        record.params,
        record.flops,
        record.wall_s,
        json.dumps([(step, _finite(loss)) for step, loss in record.curve]),
        json.dumps(dict(record.engine)),
        json.dumps(dict(record.versions)),
        record.error,
        session,
        _now(),
    )


def _record(row: tuple[Any, ...]) -> RunRecord:
    return RunRecord(
        run_id=row[0],
        status=row[3],
        loss=math.nan if row[4] is None else row[4],
        loss_se=row[5],
        initial_loss=row[6],
        curve=tuple((step, math.nan if loss is None else loss) for step, loss in json.loads(row[12])),
        diverged_step=row[7],
        tokens=row[8],
        params=row[9],
        flops=row[10],
        wall_s=row[11],
        engine=json.loads(row[13]),
        versions=json.loads(row[14]),
        error=row[15],
    )


def _level(status: str, loss: float | None) -> float:
    return math.inf if status == "diverged" or loss is None else loss


def _finite(value: float | None) -> float | None:
    """Infinities and NaN as null: neither JSON nor SQLite has a NaN."""
    return None if value is None or not math.isfinite(value) else float(value)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
