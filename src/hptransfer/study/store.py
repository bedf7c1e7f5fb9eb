"""The finished runs of a study in one SQLite file, with the driver as its only writer."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from hptransfer.errors import StoreError
from hptransfer.files import printable
from hptransfer.runs.config import RunRecord, RunSpec
from hptransfer.study import store_integrity, store_schema
from hptransfer.study.lock import take_lock
from hptransfer.study.spec import StudySpec, parse_study
from hptransfer.study.store_schema import DETAIL, NARROW, PLACE, PLACES, STORE_SCHEMA, UPSERT, Place
from hptransfer.version import __version__

STORE_FILE = "study.sqlite"
_COMMITS = "SELECT value FROM meta WHERE key = 'commits'"
_COUNT_ONE = "INSERT INTO meta VALUES ('commits', 1) ON CONFLICT (key) DO UPDATE SET value = value + 1"
# A value that SQLite does not take, which says nothing of the file; and content that cannot be decoded.
_REFUSED = (sqlite3.ProgrammingError, sqlite3.DataError, sqlite3.InterfaceError, OverflowError)
_UNREADABLE = (ValueError, KeyError, TypeError, zlib.error)


def no_study(folder: Path) -> StoreError:
    """The error of a folder without a study, or of none."""
    found = f"{folder} does not" if folder.is_dir() else f"there is no folder {folder}"
    return StoreError(f"a study's folder must hold {STORE_FILE}, but {found}")


class Store:
    """An open store. Use as a context manager, so that the file is closed and the lock is given back.

    `read_only` takes no lock and no right to write, and works while a driver is at work; otherwise the
    study's folder is made where it is missing.

    Raises:
        StoreError: the folder cannot be written, another driver is running the study, the file is damaged,
            or it was made by a version that this one cannot follow. So does every method where the file
            cannot be read or written.
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self.path = Path(folder) / STORE_FILE
        self._lock: int | None = None
        self._session: int | None = None
        self._commits = 0  # that the file holds
        if read_only and not self.path.is_file():
            raise no_study(folder)
        if not read_only:
            self._lock = take_lock(Path(folder))
        # Read before the store, since a driver writes it after; a store that was moved away begins anew.
        expected = store_integrity.read_count(Path(folder)) if self.path.exists() else 0
        try:
            with self._translate_errors():
                self._db = store_schema.connect(self.path, read_only)
                store_integrity.add_checksums(self._db)
                self._check(read_only, expected)
        except StoreError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and give the lock back."""
        if hasattr(self, "_db"):
            self._db.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def begin(self, spec: StudySpec, provenance: Mapping[str, Any]) -> None:
        """Opens a session: stores the study's spec, and the provenance of this session's runs."""
        with self._transaction():
            text = json.dumps(spec.model_dump(mode="json"), allow_nan=False)
            self._db.execute("INSERT OR REPLACE INTO meta VALUES ('spec', ?)", (text,))
            self._db.execute(store_integrity.SEAL_SPEC)
            cursor = self._db.execute(
                "INSERT INTO sessions (started, provenance) VALUES (?, ?)", (_now(), json.dumps(provenance))
            )
            self._session = cursor.lastrowid

    def add(
        self, stack_id: str, results: Sequence[tuple[RunSpec, RunRecord]], places: Iterable[Place] = ()
    ) -> None:
        """Stores a stack's results, and the runs' places in the study, all or none.

        They are on disk when this returns; inside `batch_commit`, when that ends. For runs that come from
        elsewhere `stack_id` says where from.
        """
        now = _now()
        rows = [store_schema.narrow(stack_id, record, self._session, now) for _, record in results]
        details = [(record.run_id, store_schema.detail(spec, record)) for spec, record in results]
        with self._transaction():
            self._db.executemany(DETAIL, details)
            self._db.executemany(UPSERT, rows)
            self._db.executemany(store_integrity.SEAL_RUN, [(record.run_id,) for _, record in results])
            self._put_places(places)

    def set_places(self, places: Iterable[Place]) -> None:
        """Sets which runs are the study's, and where; those of an earlier spec stay in the file, unseen."""
        with self._transaction():
            self._db.execute("DELETE FROM members")
            self._db.execute("DELETE FROM checks WHERE kind = 'place'")
            self._put_places(places)

    def _put_places(self, places: Iterable[Place]) -> None:
        rows = [dataclasses.astuple(place) for place in places]
        self._db.executemany(PLACE, rows)
        self._db.executemany(store_integrity.SEAL_PLACE, [row[:1] for row in rows])

    def losses(self) -> dict[str, float]:
        """Loss by run id of every finished run, in nats; infinite where diverged, absent where failed."""
        found = self._query("SELECT run_id, status, loss FROM runs WHERE status != 'failed'")
        return {
            run_id: math.inf if status == "diverged" or loss is None else loss
            for run_id, status, loss in found
        }

    def failures(self) -> dict[str, str]:
        """Why runs failed, by run id."""
        found = self._query("SELECT run_id, error FROM runs WHERE status = 'failed'")
        return {run_id: error or "unknown" for run_id, error in found}

    def records(self) -> dict[str, RunRecord]:
        """Every run's record by run id, failed ones included."""
        return {record.run_id: record for _, record in self._details_and_records()}

    def runs(self) -> list[tuple[RunSpec, RunRecord]]:
        """Every run with its spec, those of earlier specs included."""
        with self._translate_errors():
            return [
                (store_schema.spec_of(content), record) for content, record in self._details_and_records()
            ]

    def rows(self, names: Iterable[str]) -> list[tuple[Any, ...]]:
        """These columns of every run that has a place in the study, by width, LR and seed."""
        columns = ", ".join(f"m.{name}" if name in PLACES else f"r.{name}" for name in names)
        return self._query(
            f"SELECT {columns} FROM members m JOIN runs r USING (run_id) "
            "ORDER BY m.width, m.lr, m.seed, m.run_id"
        )

    def shapes(self) -> dict[str, tuple[int, int]]:
        """Depth and batch size by run id, of every run."""
        with self._translate_errors():
            found = self._query("SELECT run_id, content FROM details")
            specs = ((run_id, store_schema.spec_of_plain(content)) for run_id, content in found)
            return {run_id: (spec["model"]["depth"], spec["train"]["batch_size"]) for run_id, spec in specs}

    def finished(self) -> int:
        """How many runs that have a place in the study are finished."""
        query = "SELECT count(*) FROM members JOIN runs USING (run_id) WHERE status != 'failed'"
        return int(self._query(query)[0][0])

    def spec(self) -> StudySpec:
        """The study's spec, as of the last session.

        Raises:
            SpecError: it was written past this version's checks.
        """
        found = self._query("SELECT value FROM meta WHERE key = 'spec'")
        if not found:
            raise StoreError(f"{self.path} holds no study yet: it was made, but never started")
        with self._translate_errors():
            return parse_study(dict(json.loads(found[0][0])), where=f"the spec in {self.path}")

    def sessions(self) -> list[dict[str, Any]]:
        """Start and provenance of every session, oldest first."""
        return list(self._sessions().values())

    def origins(self) -> dict[str, dict[str, Any]]:
        """Start and provenance of the session that trained each run, by run id; empty where unknown."""
        sessions = self._sessions()
        return {
            run: sessions.get(session, {}) for run, session in self._query("SELECT run_id, session FROM runs")
        }

    def _sessions(self) -> dict[int, dict[str, Any]]:
        found = self._query("SELECT id, started, provenance FROM sessions ORDER BY id")
        with self._translate_errors():
            return {number: {"started": started, **json.loads(text)} for number, started, text in found}

    def _details_and_records(self) -> list[tuple[bytes, RunRecord]]:
        columns = ", ".join(f"r.{name}" for name in ("run_id", "status", *NARROW))
        found = self._query(f"SELECT d.content, {columns} FROM runs r JOIN details d USING (run_id)")
        with self._translate_errors():
            return [(content, store_schema.record_of(tuple(row), content)) for content, *row in found]

    def _query(self, sql: str) -> list[tuple[Any, ...]]:
        with self._translate_errors():
            return self._db.execute(sql).fetchall()

    def _check(self, read_only: bool, expected: int) -> None:
        """Make the tables of a new file; refuse what is not ours, of another schema, cut or damaged."""
        tables = self._value("SELECT count(*) FROM sqlite_master")
        if not tables and not self._value("PRAGMA user_version"):
            store_integrity.check_count(self.path, 0, expected)
            if read_only:
                raise StoreError(f"{self.path} holds no study yet: it was made, but never started")
            with self._transaction():
                store_schema.create(self._db, {"created_by": __version__, "created": _now()})
        if self._value("PRAGMA application_id") != store_schema.APPLICATION:
            raise StoreError(f"{self.path} must be a study's store, but is another program's SQLite file")
        if (verdict := self._value("PRAGMA quick_check(1)")) != "ok":
            raise sqlite3.DatabaseError(verdict)
        if (version := self._value("PRAGMA user_version")) != STORE_SCHEMA:
            maker = self._value("SELECT value FROM meta WHERE key = 'created_by'") or "unknown"
            raise StoreError(
                f"{self.path} must have store schema {STORE_SCHEMA} (hptransfer {__version__}), "
                f"but has {version} (hptransfer {maker}): use that version, or another folder"
            )
        self._commits = int(self._value(_COMMITS) or 0)
        store_integrity.check_count(self.path, self._commits, expected)
        if wrong := store_integrity.wrong_rows(self._db):
            raise StoreError(
                f"{self.path} is damaged: {len(wrong)} of its rows are not as written, first {wrong[0][0]} "
                f"{printable(wrong[0][1])}; `hptransfer runs repair {self.path.parent}` keeps the others"
            )

    def _value(self, sql: str) -> Any:
        """The one value that a query gives; None where it gives no row."""
        row = self._db.execute(sql).fetchone()
        return row and row[0]

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
                    self._commit()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        inside = self._db.in_transaction
        with self._translate_errors(writing=True):
            self._db.execute("SAVEPOINT part" if inside else "BEGIN IMMEDIATE")
            try:
                yield
                if inside:
                    self._db.execute("RELEASE part")
                else:
                    self._commit()
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK TO part" if inside else "ROLLBACK")
                raise

    def _commit(self) -> None:
        """Commit, and move it from the write-ahead log, which can be lost on its own, to the main file."""
        self._db.execute(_COUNT_ONE)
        self._db.execute("COMMIT")
        self._commits += 1
        with suppress(sqlite3.OperationalError):  # a full disk: the commit itself is safe
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")  # as far as no reader needs the old state
        store_integrity.write_count(self.path.parent, self._commits)

    @contextmanager
    def _translate_errors(self, *, writing: bool = False) -> Iterator[None]:
        """SQLite's errors as one line that says what to do; damaged is what SQLite or a checksum calls so."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise StoreError(f"{self.path} must be readable and writable, but: {error}") from error
        except (*_REFUSED, sqlite3.DatabaseError, *_UNREADABLE) as error:
            cause = " ".join(printable(str(error)).split())
            if isinstance(error, _REFUSED) or (writing and isinstance(error, _UNREADABLE)):
                raise StoreError(
                    f"{self.path} must be able to hold what it is given, but: {cause}"
                ) from error
            raise StoreError(
                f"{self.path} is damaged ({cause}): `hptransfer runs repair {self.path.parent}` keeps "
                "what can be read, or restore a copy"
            ) from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
