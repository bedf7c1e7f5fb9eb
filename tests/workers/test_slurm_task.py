"""The task of a Slurm array, called here as submitit calls it on a node."""

from __future__ import annotations

import json
from pathlib import Path

import fake_trainer
import pytest
from small_study import study

from hptransfer.workers.executor import Job
from hptransfer.workers.run_job import pack
from hptransfer.workers.slurm_task import Task
from hptransfer.workers.spool import DONE, read_json, read_result, spool_of, write_whole

RUNS = tuple(study().run("sp", 32, index, 0) for index in range(2))


def task(folder: Path, owner: str = "array") -> Task:
    """A task of `array`, whose stack belongs to `owner`."""
    spool = spool_of(folder)
    write_whole(spool / "stack.job", pack(Job("stack", RUNS, fake_trainer.NAME, folder=str(folder))))
    write_whole(spool / "stack.owner", owner.encode())
    return Task(str(spool), "stack", "array")


def test_it_leaves_the_records_and_a_report(tmp_path: Path) -> None:
    assert task(tmp_path)() == "records"
    spool = spool_of(tmp_path)
    found = read_result(spool / f"stack{DONE}")
    assert found is not None
    assert [record.run_id for _, record in found] == [run.run_id for run in RUNS]
    report = read_json(spool / "stack.progress")
    assert report is not None
    assert set(report) == {"step", "losses"}
    assert len(report["losses"]) == len(RUNS)


def test_a_finished_stack_is_not_trained_again(tmp_path: Path) -> None:
    one = task(tmp_path)
    one()
    (spool_of(tmp_path) / "stack.job").unlink()
    assert one() == "finished"


def test_a_stack_of_another_array_is_left_alone(tmp_path: Path) -> None:
    assert task(tmp_path, owner="another")() == "withdrawn"
    assert Task(str(spool_of(tmp_path)), "no-such-stack", "array")() == "withdrawn"
    assert not list(spool_of(tmp_path).glob(f"*{DONE}"))


def test_a_fault_is_left_with_the_array_that_had_it(tmp_path: Path, faults: Path) -> None:
    fake_trainer.arm(faults, "raise", 1, 32)
    assert task(tmp_path)() == "failed"
    fault = json.loads((spool_of(tmp_path) / "stack.fault").read_text())
    assert fault == {"array": "array", "kind": "failed", "content": "RuntimeError: a fault on purpose"}


def test_what_is_queued_again_is_the_same_task(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    one = task(tmp_path)
    assert one.checkpoint().function is one
