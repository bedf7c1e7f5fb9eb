"""The finished runs of a study in one SQLite file, with the driver as its only writer."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hptransfer.errors import StoreError
from hptransfer.runs.config import RunRecord, RunSpec
from hptransfer.study import store_schema
from hptransfer.study.lock import take_lock
from hptransfer.study.store_schema import MEMBERS, NARROW, RUNS, STORE_SCHEMA, Member
from hptransfer.version import __version__

STORE_FILE = "study.sqlite"

# A finished run is never overwritten: only a failed one makes room for its retry.
_UPSERT = (
    f"INSERT INTO runs ({', '.join(RUNS)}) VALUES ({', '.join('?' * len(RUNS))}) "
    "ON CONFLICT (run_id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in RUNS[1:])
    + " WHERE runs.status = 'failed'"
)
_DETAIL = (
    "INSERT INTO details SELECT ?1, ?2 WHERE NOT EXISTS "
    "(SELECT 1 FROM runs WHERE run_id = ?1 AND status != 'failed') "
    "ON CONFLICT (run_id) DO UPDATE SET content = excluded.content"
)
_MEMBER = f"INSERT OR REPLACE INTO members ({', '.join(MEMBERS)}) VALUES ({', '.join('?' * len(MEMBERS))})"


class Store:
    """An open store. Use as a context manager, so that the file is closed and the lock is given back.

    Args:
        folder: of the study; made where it is missing, unless `read_only`.
        read_only: without the lock and without a right to write, also while a driver is at work.

    Raises:
        StoreError: the folder cannot be written, another driver is running the study, the file is damaged,
            or it was made by a version that this one cannot follow. So does every method where the file
            cannot be read or written.
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self.path = Path(folder) / STORE_FILE
        self._lock: int | None = None
        self._session: int | None = None
        if read_only and not self.path.is_file():
            raise StoreError(f"a study's folder must hold {STORE_FILE}, but {folder} does not")
        if not read_only:
            self._lock = take_lock(Path(folder))
        try:
            with self._translate_errors():
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
            os.close(self._lock)
            self._lock = None

    def begin(self, spec: Mapping[str, Any], provenance: Mapping[str, Any]) -> None:
        """Opens a session: stores the study's spec, and the provenance of this session's runs."""
        with self._transaction():
            self._db.execute(
                "INSERT OR REPLACE INTO meta VALUES ('spec', ?)", (json.dumps(spec, allow_nan=False),)
            )
            cursor = self._db.execute(
                "INSERT INTO sessions (started, provenance) VALUES (?, ?)", (_now(), json.dumps(provenance))
            )
            self._session = cursor.lastrowid

    def add(
        self,
        stack_id: str,
        results: Sequence[tuple[RunSpec, RunRecord]],
        members: Iterable[Member] = (),
    ) -> None:
        """Stores a stack's results, and their places in the study, all or none.

        They are on disk when this returns; inside `batch_commit`, when that ends.

        Args:
            stack_id: of the stack, or where the runs come from.
            results: runs with their records.
            members: places of the runs in the study.
        """
        now = _now()
        rows = [store_schema.narrow(stack_id, record, self._session, now) for _, record in results]
        details = [(record.run_id, store_schema.detail(spec, record)) for spec, record in results]
        with self._transaction():
            self._db.executemany(_DETAIL, details)
            self._db.executemany(_UPSERT, rows)
            self._db.executemany(_MEMBER, [dataclasses.astuple(member) for member in members])

    def set_members(self, members: Iterable[Member]) -> None:
        """Sets which runs are the study's, and where; those of an earlier spec stay in the file, unseen."""
        rows = [dataclasses.astuple(member) for member in members]
        with self._transaction():
            self._db.execute("DELETE FROM members")
            self._db.executemany(_MEMBER, rows)

    def losses(self) -> dict[str, float]:
        """Loss by run id of every finished run, in nats; infinite where diverged, absent where failed."""
        with self._translate_errors():
            found = self._db.execute("SELECT run_id, status, loss FROM runs WHERE status != 'failed'")
            return {run_id: _planner_loss(status, loss) for run_id, status, loss in found}

    def failures(self) -> dict[str, str]:
        """Why runs failed, by run id."""
        with self._translate_errors():
            found = self._db.execute("SELECT run_id, error FROM runs WHERE status = 'failed'")
            return {run_id: error or "unknown" for run_id, error in found}

    def records(self) -> dict[str, RunRecord]:
        """Every run's record by run id, failed ones included."""
        return {record.run_id: record for _, record in self._specs_and_records()}

    def runs(self) -> list[tuple[RunSpec, RunRecord]]:
        """Every run with its spec, those of earlier specs included."""
        with self._translate_errors():
            return [(store_schema.spec_of(content), record) for content, record in self._specs_and_records()]

    def rows(self, names: Iterable[str]) -> list[tuple[Any, ...]]:
        """These columns of every run that has a place in the study, by width, LR and seed."""
        columns = ", ".join(f"m.{name}" if name in MEMBERS else f"r.{name}" for name in names)
        query = (
            f"SELECT {columns} FROM members m JOIN runs r USING (run_id) "
            "ORDER BY m.width, m.lr, m.seed, m.run_id"
        )
        with self._translate_errors():
            return self._db.execute(query).fetchall()

    def finished(self) -> int:
        """How many runs that have a place in the study are finished."""
        query = "SELECT count(*) FROM members JOIN runs USING (run_id) WHERE status != 'failed'"
        with self._translate_errors():
            return int(self._db.execute(query).fetchone()[0])

    def spec(self) -> dict[str, Any]:
        """The study's spec, as of the last session."""
        with self._translate_errors():
            found = self._db.execute("SELECT value FROM meta WHERE key = 'spec'").fetchone()
            if found is None:
                raise StoreError(f"{self.path} holds no study yet: it was made, but never started")
            return dict(json.loads(found[0]))

    def sessions(self) -> list[dict[str, Any]]:
        """Start and provenance of every session, oldest first."""
        with self._translate_errors():
            found = self._db.execute("SELECT started, provenance FROM sessions ORDER BY id").fetchall()
            return [{"started": started, **json.loads(text)} for started, text in found]

    def origins(self) -> dict[str, dict[str, Any]]:
        """Start and provenance of the session that trained each run, by run id; empty where unknown."""
        with self._translate_errors():
            sessions = {
                number: {"started": started, **json.loads(text)}
                for number, started, text in self._db.execute("SELECT id, started, provenance FROM sessions")
            }
            found = self._db.execute("SELECT run_id, session FROM runs").fetchall()
        return {run_id: sessions.get(session, {}) for run_id, session in found}

    def _specs_and_records(self) -> list[tuple[bytes, RunRecord]]:
        columns = ", ".join(f"r.{name}" for name in ("run_id", "status", *NARROW))
        with self._translate_errors():
            found = self._db.execute(f"SELECT d.content, {columns} FROM runs r JOIN details d USING (run_id)")
            return [(content, store_schema.record_of(tuple(row), content)) for content, *row in found]

    def _check(self, read_only: bool) -> None:
        """Make the tables of a new file; refuse what is not ours, of another schema or damaged."""
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        (tables,) = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not tables and not version and not read_only:
            with self._transaction():
                store_schema.create(self._db, {"created_by": __version__, "created": _now()})
        (application,) = self._db.execute("PRAGMA application_id").fetchone()
        if application != store_schema.APPLICATION:
            raise StoreError(f"{self.path} must be a study's store, but is another program's SQLite file")
        self._verify()
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version != STORE_SCHEMA:
            raise StoreError(
                f"{self.path} must have store schema {STORE_SCHEMA} (hptransfer {__version__}), "
                f"but has {version} (hptransfer {self._maker()}): use that version, or another folder"
            )

    def _verify(self) -> None:
        (verdict,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)

    def _maker(self) -> str:
        """The version that made the file."""
        found = self._db.execute("SELECT value FROM meta WHERE key = 'created_by'").fetchone()
        return str(found[0]) if found else "unknown"

    @contextmanager
    def batch_commit(self) -> Iterator[None]:
        """Everything stored inside goes to disk at once at the end, also where an error ends it early."""
        with self._translate_errors():
            self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            with self._translate_errors():
                if self._db.in_transaction:  # not where SQLite has given it up: a full disk
                    self._db.execute("COMMIT")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        inside = self._db.in_transaction
        with self._translate_errors():
            self._db.execute("SAVEPOINT part" if inside else "BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("RELEASE part" if inside else "COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK TO part" if inside else "ROLLBACK")
                raise

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        """SQLite's errors, and values it cannot have written, as one line that says what to do."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise StoreError(f"{self.path} must be readable and writable, but: {error}") from error
        except (sqlite3.DatabaseError, ValueError, zlib.error) as error:
            cause = " ".join(str(error).split())
            raise StoreError(
                f"{self.path} is damaged ({cause}): move it away to start again, or restore a copy"
            ) from error


def _connect(path: Path, read_only: bool) -> sqlite3.Connection:
    mode = "ro" if read_only else "rwc"
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    if read_only and not os.access(path.parent, os.W_OK) and not _pending(path):
        uri += "&immutable=1"  # on a read-only disk SQLite cannot make the file that readers share
    db = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=10.0)
    if not read_only:
        db.execute("PRAGMA journal_mode = WAL")
        # A commit comes at most once a stack, after seconds or hours of training, so waiting for the disk
        # costs nothing, and a finished run survives even a power cut.
        db.execute("PRAGMA synchronous = FULL")
    return db


def _pending(path: Path) -> bool:
    """Whether there are commits that are not yet in the main file."""
    log = path.with_name(f"{path.name}-wal")
    return log.exists() and log.stat().st_size > 0


def _planner_loss(status: str, loss: float | None) -> float:
    return math.inf if status == "diverged" or loss is None else loss


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
