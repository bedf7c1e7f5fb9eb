"""The SQLite file of a store: its connection, its tables, and how a run becomes rows of them."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sqlite3
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hptransfer.quantify.result import finite
from hptransfer.runs.config import RunRecord, RunSpec
from hptransfer.runs.decode import record_from, run_from

STORE_SCHEMA = 3  # raise when a table changes meaning
APPLICATION = 0x68707473  # marks the file as a study of hptransfer

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
CREATE TABLE checks (kind TEXT, id TEXT, sum INTEGER, PRIMARY KEY (kind, id)) WITHOUT ROWID;
"""
NARROW = ("loss", "loss_se", "initial_loss", "diverged_step", "tokens", "params", "flops", "wall_s", "error")
RUNS = ("run_id", "stack_id", "status", *NARROW, "session", "finished")


@dataclass(frozen=True)
class Place:
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


PLACES = tuple(field.name for field in dataclasses.fields(Place))

# A finished run is never overwritten: only a failed one makes room for its retry.
UPSERT = (
    f"INSERT INTO runs ({', '.join(RUNS)}) VALUES ({', '.join('?' * len(RUNS))}) "
    "ON CONFLICT (run_id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in RUNS[1:])
    + " WHERE runs.status = 'failed'"
)
DETAIL = (
    "INSERT INTO details SELECT ?1, ?2 WHERE NOT EXISTS "
    "(SELECT 1 FROM runs WHERE run_id = ?1 AND status != 'failed') "
    "ON CONFLICT (run_id) DO UPDATE SET content = excluded.content"
)
PLACE = f"INSERT OR REPLACE INTO members ({', '.join(PLACES)}) VALUES ({', '.join('?' * len(PLACES))})"


def connect(path: Path, read_only: bool) -> sqlite3.Connection:
    """The file opened, where it is missing also made unless `read_only`."""
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


def create(db: sqlite3.Connection, meta: Mapping[str, str]) -> None:
    """Make the tables of a new store."""
    for statement in TABLES.strip().split(";\n"):
        db.execute(statement)
    db.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
    db.execute(f"PRAGMA application_id = {APPLICATION}")
    db.execute(f"PRAGMA user_version = {STORE_SCHEMA}")


def narrow(stack_id: str, record: RunRecord, session: int | None, finished: str) -> tuple[Any, ...]:
    """A record's row in `runs`; `finished` is a time in ISO 8601."""
    values = [getattr(record, name) for name in NARROW]
    plain = [finite(value) if isinstance(value, float) else value for value in values]
    return (record.run_id, stack_id, record.status, *plain, session, finished)


def detail(spec: RunSpec, record: RunRecord) -> bytes:
    """A run's spec, and whatever else a record holds, compressed."""
    content = {"spec": spec.model_dump(mode="json"), **rest_of(record)}
    return zlib.compress(json.dumps(content, separators=(",", ":")).encode(), 1)


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
    return run_from(spec_of_plain(content))


def spec_of_plain(content: bytes) -> dict[str, Any]:
    """The same as plain data, which is quick."""
    return dict(json.loads(zlib.decompress(content))["spec"])
