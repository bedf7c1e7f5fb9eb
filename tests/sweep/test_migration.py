"""A store of schema 1, as hptransfer 0.1 wrote it before studies had executors, is brought up to this one."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import fake_trainer
import pytest
from small_study import study, without_wall_times

from hptransfer.errors import StoreError
from hptransfer.lm.config import RunSpec
from hptransfer.sweep.planner import plan
from hptransfer.sweep.run import StudyResult, load_result, run_study
from hptransfer.sweep.schema import APPLICATION
from hptransfer.sweep.store import FILE, Store

OLD = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE sessions (id INTEGER PRIMARY KEY, started TEXT NOT NULL, provenance TEXT NOT NULL);
CREATE TABLE runs (
  run_id TEXT PRIMARY KEY, spec TEXT NOT NULL, stack_id TEXT NOT NULL, status TEXT NOT NULL,
  loss REAL, loss_se REAL, initial_loss REAL, diverged_step INTEGER, tokens INTEGER, params INTEGER,
  flops REAL, wall_s REAL, curve TEXT, engine TEXT, versions TEXT, error TEXT, session INTEGER, finished TEXT
) WITHOUT ROWID;
"""


def old_store(folder: Path, change: Mapping[str, Any] | None = None) -> int:
    """The small study's grid in a store of schema 1, under ids of its day; how many runs."""
    folder.mkdir(exist_ok=True)
    runs = [run.spec for stack in plan(study(), {}) for run in stack.runs]
    with closing(sqlite3.connect(folder / FILE)) as db:
        db.executescript(OLD)
        db.execute(f"PRAGMA application_id = {APPLICATION}")
        db.execute("PRAGMA user_version = 1")
        spec = study().model_dump(mode="json", exclude={"executor", "trial"})
        db.executemany(
            "INSERT INTO meta VALUES (?, ?)", [("created_by", "0.1.0"), ("spec", json.dumps(spec))]
        )
        db.execute("INSERT INTO sessions VALUES (1, '2026-01-01T00:00:00+00:00', '{}')")
        for number, run in enumerate(runs):
            db.execute(f"INSERT INTO runs VALUES ({', '.join('?' * 18)})", _row(f"old-{number}", run, change))
        db.commit()
    return len(runs)


def _row(run_id: str, run: RunSpec, change: Mapping[str, Any] | None) -> tuple[Any, ...]:
    record = fake_trainer._record(run, 0.1)
    text = json.dumps({**run.model_dump(mode="json"), **(change or {})})
    numbers = (record.loss, None, record.initial_loss, None, record.tokens, record.params, 1.0, 0.1)
    return (run_id, text, "s", "done", *numbers, "[[1, 7.0]]", '{"stack": 1}', "{}", None, 1, "then")


def test_its_runs_are_kept_found_again_and_not_trained_again(
    tmp_path: Path, undisturbed: StudyResult, faults: Path
) -> None:
    count = old_store(tmp_path)
    result = run_study(study(), tmp_path, train=fake_trainer.NAME)
    assert result.trained == len(result.rows) - count
    assert without_wall_times(result.csv) == without_wall_times(undisturbed.csv)
    with Store(tmp_path, read_only=True) as store:
        assert {record.curve[0] for record in store.records().values()} == {(1, 7.0)}
        assert len(store.sessions()) == 2


def test_a_reader_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    count = old_store(tmp_path)
    before = (tmp_path / FILE).read_bytes()
    with Store(tmp_path, read_only=True) as store:
        assert len(store.losses()) == count
    assert (tmp_path / FILE).read_bytes() == before


def test_a_run_that_means_nothing_now_is_a_clear_refusal_and_the_file_stays(tmp_path: Path) -> None:
    old_store(tmp_path, {"temperature": 3})
    for read_only in (False, True):
        with pytest.raises(
            StoreError, match=r"of hptransfer 0\.1\.0 .*`temperature` means nothing"
        ) as caught:
            Store(tmp_path, read_only=read_only)
        assert "\n" not in str(caught.value)
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        assert db.execute("SELECT count(*) FROM runs").fetchone()[0] > 0


def test_a_store_that_was_only_read_can_be_reported_once_it_has_places(tmp_path: Path) -> None:
    old_store(tmp_path)
    run_study(study(), tmp_path, train=fake_trainer.NAME)
    assert len(load_result(tmp_path).rows) == 32
