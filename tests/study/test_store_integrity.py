"""A store that is not as it was written says so; what is sound of it is kept."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from small_study import study
from test_store import RUN, record, started

from hptransfer.errors import StoreError
from hptransfer.runs.config import RunRecord
from hptransfer.study.planner import plan
from hptransfer.study.runs_table import RunsTable, place_of
from hptransfer.study.store import STORE_FILE, Store
from hptransfer.study.store_integrity import COUNT_FILE, storable
from hptransfer.study.store_repair import repair

RUNS = [run for stack in plan(study(), {}) for run in stack.runs]


def filled(folder: Path) -> None:
    with started(folder) as store:
        store.add("s", [(r.spec, record(r.spec)) for r in RUNS], [place_of(study(), 0, r) for r in RUNS])


def change(folder: Path, sql: str) -> None:
    with closing(sqlite3.connect(folder / STORE_FILE)) as db, db:
        db.execute(sql)


CHANGES = {
    "loss": f"UPDATE runs SET loss = loss + 1e-9 WHERE run_id = '{RUN.run_id}'",
    "status": f"UPDATE runs SET status = 'fine' WHERE run_id = '{RUN.run_id}'",
    "type": f"UPDATE runs SET tokens = 'many' WHERE run_id = '{RUN.run_id}'",
    "details": f"UPDATE details SET content = x'00' WHERE run_id = '{RUN.run_id}'",
    "no details": f"DELETE FROM details WHERE run_id = '{RUN.run_id}'",
    "no row": f"DELETE FROM runs WHERE run_id = '{RUN.run_id}'",
    "place": f"UPDATE members SET lr = lr * 2 WHERE run_id = '{RUN.run_id}'",
    "spec": "UPDATE meta SET value = replace(value, '32', '48') WHERE key = 'spec'",
}


@pytest.mark.parametrize("kind", CHANGES)
def test_valid_sqlite_with_wrong_content_is_told_row_by_row_and_repaired(kind: str, tmp_path: Path) -> None:
    filled(tmp_path)
    change(tmp_path, CHANGES[kind])
    for read_only in (True, False):
        with pytest.raises(StoreError, match=r"damaged: 1 of its rows .*runs repair"):
            Store(tmp_path, read_only=read_only)
    done = repair(tmp_path)
    lost = () if kind in ("place", "spec") else (RUN.run_id,)
    assert (done.kept, done.lost) == (len(RUNS) - len(lost), lost)
    assert done.spec == (kind != "spec")
    assert done.aside.is_file()
    with Store(tmp_path) as store:
        assert set(store.losses()) == {r.run_id for r in RUNS} - set(lost)
        if done.spec:
            assert len(RunsTable.of(store, study()).lines) == done.kept
            assert store.sessions()


def test_a_sound_store_is_repaired_to_itself(tmp_path: Path) -> None:
    filled(tmp_path)
    with Store(tmp_path, read_only=True) as store:
        before = store.records()
        lines = RunsTable.of(store, study()).lines
    assert repair(tmp_path).lost == ()
    with Store(tmp_path, read_only=True) as store:
        assert store.records() == before
        assert RunsTable.of(store, study()).lines == lines


def test_a_file_with_broken_pages_gives_what_can_be_read(tmp_path: Path) -> None:
    filled(tmp_path)
    path = tmp_path / STORE_FILE
    content = bytearray(path.read_bytes())
    content[-4096:] = os.urandom(4096)
    path.write_bytes(content)
    with pytest.raises(StoreError, match="runs repair"):
        Store(tmp_path)
    done = repair(tmp_path)
    assert done.kept + len(done.lost) <= len(RUNS)
    with Store(tmp_path, read_only=True) as store:
        assert len(store.losses()) == done.kept


@pytest.mark.parametrize("content", [b"", b"x" * 5000])
def test_a_file_of_which_nothing_is_left_is_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / STORE_FILE).write_bytes(content)
    with pytest.raises(StoreError, match=r"readable in part|marks"):
        repair(tmp_path)


def killed_copy(folder: Path, to: Path) -> None:
    """The files as a killed driver leaves them, with its write-ahead log."""
    to.mkdir()
    with started(folder) as store, closing(sqlite3.connect(folder / STORE_FILE)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM runs").fetchone()  # a reader keeps commits in the log
        store.add("s", [(r.spec, record(r.spec)) for r in RUNS])
        for name in os.listdir(folder):
            (to / name).write_bytes((folder / name).read_bytes())


@pytest.mark.parametrize("cut", ["removed", "cut", "emptied"])
def test_a_store_without_its_write_ahead_log_says_what_is_missing(cut: str, tmp_path: Path) -> None:
    killed_copy(tmp_path / "a", tmp_path / "b")
    log = tmp_path / "b" / f"{STORE_FILE}-wal"
    assert log.stat().st_size
    if cut == "removed":
        log.unlink()
    else:
        log.write_bytes(log.read_bytes()[: 2000 if cut == "cut" else 0])
    (tmp_path / "b" / f"{STORE_FILE}-shm").unlink()
    for read_only in (True, False):
        with pytest.raises(StoreError, match=r"lacks the last 1: its write-ahead"):
            Store(tmp_path / "b", read_only=read_only)
    assert repair(tmp_path / "b").kept == 0
    with Store(tmp_path / "b") as store:
        assert store.losses() == {}


def test_a_commit_is_in_the_main_file_at_once(tmp_path: Path) -> None:
    with started(tmp_path) as store:
        store.add("s", [(RUN, record())])
        (tmp_path / "copy").mkdir()
        for name in (STORE_FILE, COUNT_FILE):
            (tmp_path / "copy" / name).write_bytes((tmp_path / name).read_bytes())
    with Store(tmp_path / "copy", read_only=True) as store:
        assert store.losses() == {RUN.run_id: 3.5}


def test_an_emptied_store_is_not_begun_anew_in_silence_and_one_moved_away_is(tmp_path: Path) -> None:
    filled(tmp_path)
    (tmp_path / STORE_FILE).write_bytes(b"")
    with pytest.raises(StoreError, match=r"lacks the last 3.*move it away"):
        Store(tmp_path)
    (tmp_path / STORE_FILE).unlink()
    with started(tmp_path) as store:
        assert store.losses() == {}
    with Store(tmp_path, read_only=True) as store:
        assert store.sessions()


@pytest.mark.parametrize(
    "fields",
    [
        {"flops": float("inf")},
        {"tokens": 10**22},
        {"curve": ((10**26, 1.0),)},
        {"error": "\ud800", "status": "failed"},
        {"engine": {"x": {1, 2}}},
        {"run_id": "another"},
        {"loss": "three"},
    ],
)
def test_a_record_that_no_store_can_hold_is_a_failed_one(fields: dict[str, object], tmp_path: Path) -> None:
    found = storable(RUN, record(**fields))
    assert (found.run_id, found.status) == (RUN.run_id, "failed")
    with started(tmp_path) as store:
        store.add("s", [(RUN, found)])
        assert store.records()[RUN.run_id].error == found.error


def test_an_ordinary_record_can_be_held() -> None:
    good = record()
    assert storable(RUN, good) is good


def test_what_sqlite_does_not_take_is_not_called_damage(tmp_path: Path) -> None:
    with started(tmp_path) as store:
        with pytest.raises(StoreError) as caught:
            store.add("s", [(RUN, RunRecord(RUN.run_id, "done", 3.0, tokens=10**30))])
        assert "damaged" not in str(caught.value)
        assert store.losses() == {}


def test_an_error_text_is_no_formula_in_runs_csv(tmp_path: Path) -> None:
    place = place_of(study(), 0, RUNS[0])
    for text in ('=HYPERLINK("x")', "+1", "-1", "@a"):
        with started(tmp_path) as store:
            store.add("s", [(RUNS[0].spec, record(RUNS[0].spec, status="failed", error=text))], [place])
            table = RunsTable.of(store, study())
        assert table.rows[0]["error"] == f"'{text}"


def test_a_schema_that_is_no_text_is_one_line_and_repaired(tmp_path: Path) -> None:
    filled(tmp_path)
    path = tmp_path / STORE_FILE
    content = path.read_bytes()
    path.write_bytes(content.replace(b"CREATE TABLE checks", b"CREATE TABLE \x81hecks", 1))
    with pytest.raises(StoreError, match="runs repair") as error, Store(tmp_path, read_only=True):
        pass
    assert "\n" not in str(error.value)
    assert repair(tmp_path).kept == 0  # without the checksums nothing is known to be sound
