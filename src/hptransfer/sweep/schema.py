"""Schema: the tables of a store, how a run becomes rows of them, and how older stores are brought up."""

from __future__ import annotations

import dataclasses
import json
import math
import sqlite3
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from hptransfer.lm.config import RunRecord, RunSpec
from hptransfer.sweep.identity import record_from, run_from

SCHEMA = 2  # raise when a table changes meaning, and say in MIGRATIONS how to get there
APPLICATION = 0x68707473  # marks the file as a study of ours

# What is read of every run stands in narrow rows; what is read of one at a time stands apart.
TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE sessions (id INTEGER PRIMARY KEY, started TEXT NOT NULL, provenance TEXT NOT NULL);
CREATE TABLE runs (
  run_id TEXT PRIMARY KEY, stack_id TEXT NOT NULL, status TEXT NOT NULL, loss REAL, loss_se REAL,
  initial_loss REAL, diverged_step INTEGER, tokens INTEGER, params INTEGER, flops REAL, wall_s REAL,
  error TEXT, session INTEGER, finished TEXT
) WITHOUT ROWID;
CREATE TABLE details (run_id TEXT PRIMARY KEY, content BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE members (
  run_id TEXT PRIMARY KEY, variant TEXT NOT NULL, round INTEGER NOT NULL, width INTEGER NOT NULL,
  lr REAL NOT NULL, lr_mup REAL NOT NULL, seed INTEGER NOT NULL, data_seed INTEGER NOT NULL,
  weight_decay REAL NOT NULL
) WITHOUT ROWID;
"""
NARROW = ("loss", "loss_se", "initial_loss", "diverged_step", "tokens", "params", "flops", "wall_s", "error")
RUNS = ("run_id", "stack_id", "status", *NARROW, "session", "finished")


class UnreadableRunError(ValueError):
    """A run of an older store that this version cannot read."""


@dataclass(frozen=True)
class Member:
    """A run's place in the study that the store holds: what its row in runs.csv needs beside the record."""

    run_id: str  # of the run
    variant: str  # of the study
    round: int  # 0: the grid; else what asked for the run later
    width: int  # of the residual stream
    lr: float  # eta in SP coordinates
    lr_mup: float  # eta in muP coordinates
    seed: int  # of the initial weights
    data_seed: int  # of the batches
    weight_decay: float  # lambda


MEMBERS = tuple(field.name for field in dataclasses.fields(Member))


def create(db: sqlite3.Connection, meta: Mapping[str, str]) -> None:
    """Make the tables of a new store."""
    for statement in TABLES.strip().split(";\n"):
        db.execute(statement)
    db.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
    db.execute(f"PRAGMA application_id = {APPLICATION}")
    db.execute(f"PRAGMA user_version = {SCHEMA}")


def migrate(db: sqlite3.Connection, version: int) -> None:
    """Bring an older store up to this schema, within the caller's transaction.

    Raises:
        UnreadableRunError: a run in it means nothing to this version.
    """
    for number in range(version, SCHEMA):
        MIGRATIONS[number](db)
    db.execute(f"PRAGMA user_version = {SCHEMA}")


def narrow(stack_id: str, record: RunRecord, session: int | None, finished: str) -> tuple[Any, ...]:
    """A record's row in `runs`."""
    values = [getattr(record, name) for name in NARROW]
    plain = [finite(value) if isinstance(value, float) else value for value in values]
    return (record.run_id, stack_id, record.status, *plain, session, finished)


def detail(spec: RunSpec, record: RunRecord) -> bytes:
    """A run's spec, and whatever else a record holds, compressed."""
    return _packed({"spec": spec.model_dump(mode="json"), **rest_of(record)})


def rest_of(record: RunRecord) -> dict[str, Any]:
    """What a record holds beside its row in `runs`, as plain data: curve, engine, versions, probes, ..."""
    rest = {
        field.name: getattr(record, field.name)
        for field in dataclasses.fields(record)
        if field.name not in (*NARROW, "run_id", "status")
    }
    rest["curve"] = [(step, finite(loss)) for step, loss in record.curve]
    return rest


def record_of(row: tuple[Any, ...], content: bytes) -> RunRecord:
    """The record of a row (run_id, status, *NARROW) of `runs` with its details."""
    rest = json.loads(zlib.decompress(content))
    del rest["spec"]
    return whole_record(dict(zip(("run_id", "status", *NARROW), row, strict=True)), rest)


def whole_record(narrow: Mapping[str, Any], rest: Mapping[str, Any]) -> RunRecord:
    """A record from its row in `runs`, by column, and what `rest_of` gave."""
    curve = tuple((step, math.nan if loss is None else loss) for step, loss in rest["curve"])
    loss = math.nan if narrow["loss"] is None else narrow["loss"]
    return record_from({**narrow, **rest, "curve": curve, "loss": loss})


def spec_of(content: bytes) -> RunSpec:
    """The spec in a run's details."""
    return run_from(json.loads(zlib.decompress(content))["spec"])


def finite(value: float | None) -> float | None:
    """Infinities and NaN as null: neither JSON nor SQLite has a NaN."""
    return None if value is None or not math.isfinite(value) else float(value)


def _packed(content: Mapping[str, Any]) -> bytes:
    return zlib.compress(json.dumps(content, separators=(",", ":")).encode(), 1)


def _from_1(db: sqlite3.Connection) -> None:
    """Schema 1: one wide table of runs, no members; a run's place is found again at the next start.

    An id is the hash of a run's spec as this version reads it, with the defaults of what it has learnt since.
    """
    db.execute("ALTER TABLE runs RENAME TO old")
    for statement in TABLES.strip().split(";\n"):
        if not statement.startswith(("CREATE TABLE meta", "CREATE TABLE sessions")):
            db.execute(statement)
    columns = ", ".join(("run_id", "stack_id", "status", *NARROW, "session", "finished"))
    more = "spec, curve, engine, versions"
    for *row, spec, curve, engine, versions in db.execute(f"SELECT {columns}, {more} FROM old").fetchall():
        run = _old_run(spec)
        content = {
            "spec": run.model_dump(mode="json"),
            "curve": json.loads(curve),
            "engine": json.loads(engine),
            "versions": json.loads(versions),
        }
        marks = ", ".join("?" * len(RUNS))
        db.execute(f"INSERT INTO runs VALUES ({marks})", (run.run_id, *row[1:]))
        db.execute("INSERT INTO details VALUES (?, ?)", (run.run_id, _packed(content)))
    db.execute("DROP TABLE old")


def _old_run(text: str) -> RunSpec:
    try:
        return run_from(json.loads(text))
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        raise UnreadableRunError(f"a run's `{path}` means nothing to this version: {first['msg']}") from None


MIGRATIONS: Mapping[int, Callable[[sqlite3.Connection], None]] = {1: _from_1}
