"""Faults of the machine: nothing finished is lost or run twice, one line says why, a restart completes."""

from __future__ import annotations

import itertools
import os
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import fake_trainer
import pytest
from small_study import study, without_wall_times

from hptransfer.errors import HPTransferError, StoreError
from hptransfer.study import store as store_module
from hptransfer.study.planner import plan
from hptransfer.study.run import StudyResult, load_result, run_study
from hptransfer.study.store import STORE_FILE
from hptransfer.workers import run_job as run_job_module
from hptransfer.workers.executor import Job
from hptransfer.workers.spool import spool_of, write_result


def completes(folder: Path, undisturbed: StudyResult) -> StudyResult:
    """Start the study once more, and compare its end with the undisturbed one."""
    result = run_study(study(), folder, train=fake_trainer.NAME)
    assert result.failures == ()
    assert without_wall_times(result.csv) == without_wall_times(undisturbed.csv)
    return result


def one_line(error: pytest.ExceptionInfo[HPTransferError]) -> None:
    assert len(str(error.value).splitlines()) == 1


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 160 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if _mount("-t", "tmpfs", "-o", "size=160k", "tmpfs", str(folder)):
        pytest.skip("a small disk needs the right to mount one")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=False)


def _mount(*arguments: str) -> int:
    try:
        return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode
    except FileNotFoundError:
        return 1


def test_a_disk_that_runs_full(disk: Path, undisturbed: StudyResult, faults: Path) -> None:
    with pytest.raises(StoreError, match="full") as caught:
        run_study(study(), disk / "out", train=fake_trainer.NAME)
    one_line(caught)
    kept = {str(row["run_id"]) for row in load_result(disk / "out").rows} if caught else set()
    assert not _mount("-o", "remount,size=20m", str(disk))
    completes(disk / "out", undisturbed)
    calls = Counter(fake_trainer.calls(faults))
    assert all(calls[run_id] == 1 for run_id in kept)


def test_a_disk_that_becomes_read_only(disk: Path, undisturbed: StudyResult, faults: Path) -> None:
    assert not _mount("-o", "remount,size=20m", str(disk))
    first = run_study(study(widths=[32]), disk / "out", train=fake_trainer.NAME)
    assert not _mount("-o", "remount,ro", str(disk))
    with pytest.raises(StoreError, match=r"writable.*Read-only") as caught:
        run_study(study(), disk / "out", train=fake_trainer.NAME)
    one_line(caught)
    assert load_result(disk / "out").rows == first.rows  # it can still be reported
    assert not _mount("-o", "remount,rw", str(disk))
    completes(disk / "out", undisturbed)
    assert set(Counter(fake_trainer.calls(faults)).values()) == {1}


def test_a_database_that_another_program_has_locked(
    tmp_path: Path, undisturbed: StudyResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = store_module.store_schema.connect

    def impatient(path: Path, read_only: bool) -> sqlite3.Connection:
        db = connect(path, read_only)
        db.execute("PRAGMA busy_timeout = 100")
        return db

    monkeypatch.setattr(store_module.store_schema, "connect", impatient)
    run_study(study(widths=[32]), tmp_path, train=fake_trainer.NAME)
    with closing(sqlite3.connect(tmp_path / STORE_FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked") as caught:
            run_study(study(), tmp_path, train=fake_trainer.NAME)
        one_line(caught)
        other.execute("ROLLBACK")
    completes(tmp_path, undisturbed)


def test_a_truncated_database_is_refused_and_a_restored_copy_resumes(
    tmp_path: Path, undisturbed: StudyResult, faults: Path
) -> None:
    run_study(study(widths=[32]), tmp_path, train=fake_trainer.NAME)
    whole = (tmp_path / STORE_FILE).read_bytes()
    (tmp_path / STORE_FILE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StoreError, match=r"damaged .*restore a copy") as caught:
        run_study(study(), tmp_path, train=fake_trainer.NAME)
    one_line(caught)
    for leftover in tmp_path.glob(f"{STORE_FILE}-*"):
        leftover.unlink()
    (tmp_path / STORE_FILE).write_bytes(whole)
    completes(tmp_path, undisturbed)
    assert set(Counter(fake_trainer.calls(faults)).values()) == {1}


def test_a_clock_that_jumps(
    tmp_path: Path, undisturbed: StudyResult, faults: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jumps = itertools.cycle([0.0, 4e9, 1e9, -1e9, 1.7e9])
    stamps = itertools.cycle(["2031-01-01T00:00:00+00:00", "1999-12-31T23:59:59+00:00"])
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    monkeypatch.setattr(store_module, "_now", lambda: next(stamps))
    fake_trainer.arm(faults, "raise", 2, 32)  # waits before a retry must not go by that clock
    completes(tmp_path, undisturbed)


def test_a_worker_on_another_version(
    tmp_path: Path, undisturbed: StudyResult, faults: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(run_job_module, "__version__", "99.0")  # of this driver; a worker imports the real one
        with pytest.raises(
            HPTransferError, match=r"driver's hptransfer 99\.0, but the one on .* runs"
        ) as caught:
            run_study(study(), tmp_path, train=fake_trainer.NAME)
    one_line(caught)
    assert fake_trainer.calls(faults) == []
    completes(tmp_path, undisturbed)


def test_what_a_worker_finished_and_a_dead_driver_did_not_take_in_is_not_run_again(
    tmp_path: Path, undisturbed: StudyResult, faults: Path
) -> None:
    first, second = plan(study(), {})[:2]
    for stack in (first, second):
        runs = tuple(run.spec for run in stack.runs)
        records = [fake_trainer._record(run, 0.1) for run in runs]
        write_result(Job(stack.stack_id, runs, fake_trainer.NAME, folder=str(tmp_path)), records)
    damaged = spool_of(tmp_path) / f"{second.stack_id}.done"
    damaged.write_bytes(damaged.read_bytes()[:100])
    completes(tmp_path, undisturbed)
    calls = Counter(fake_trainer.calls(faults))
    assert [calls[run.run_id] for run in first.runs] == [0] * len(first.runs)
    assert [calls[run.run_id] for run in second.runs] == [1] * len(second.runs)
    assert list(spool_of(tmp_path).iterdir()) == []


def test_a_spool_that_cannot_be_written_costs_nothing_but_its_shelter(
    tmp_path: Path, undisturbed: StudyResult
) -> None:
    spool_of(tmp_path).touch()
    completes(tmp_path, undisturbed)
    assert os.path.isfile(spool_of(tmp_path))
