"""Slurm executor: jobs as tasks of job arrays, submitted with submitit, found again by a later driver.

What a task needs and gives lies in the study's spool, on a file system that the nodes share:

    STACK.job       the packed job                STACK.progress  the latest report
    STACK.owner     name of the array that is to  STACK.done      the records
                    train it                      STACK.fault     why there are none
    arrays/NAME     the stacks of an array, in order; NAME is also its Slurm job name

An array is written down before it is submitted, under a name drawn at random. So a restarted driver
asks Slurm for the arrays by name, and knows which of its stacks are queued, running or gone, even if the
last driver died in the middle of submitting.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from hptransfer.errors import ExecutorError, StoreError
from hptransfer.files import read_regular
from hptransfer.runs.config import RunRecord
from hptransfer.workers.executor import Job, OnReport, StepReport, WorkerDiedError
from hptransfer.workers.run_job import Kind, pack, settle, unwrap_outcome
from hptransfer.workers.slurm_queue import Queue, Queued, SlurmConfig, submitter
from hptransfer.workers.slurm_task import Task
from hptransfer.workers.spool import DONE, MAX_BYTES, read_json, read_result, spool_of, write_whole

ARRAY = 1000  # most tasks of one array; Slurm's own limit is 1001 where nobody has changed it
_SPOOL_S = 0.5  # seconds between two looks at the spool
_GRACE = 3  # looks at the queue before a task that is gone and has left nothing is given up


@dataclass
class _Open:
    """A job that is not finished."""

    job: Job
    future: Future[list[RunRecord]] = field(default_factory=Future)
    place: tuple[str, int] | None = None  # array and task; None: not yet submitted
    gone: int = 0  # looks at the queue that did not find it
    step: int = 0  # latest that was reported


class SlurmExecutor:
    """Trains jobs as tasks of Slurm job arrays. They outlive the driver: the next one finds them again.

    Args:
        config: what each stack gets of the cluster.
        workers: tasks of an array that run at a time; None: as many as Slurm lets.
        folder: of the study, on a file system that the nodes see under the same path.
        on_report: called with progress, from another thread; must not block.

    Raises:
        MissingExtraError: submitit is not installed.
        ExecutorError: there is no Slurm here.
        StoreError: the spool cannot be written.
    """

    Config = SlurmConfig

    def __init__(self, config: SlurmConfig, workers: int | None, folder: Path, on_report: OnReport) -> None:
        self._spool = spool_of(folder.absolute())
        self._queue = Queue()
        self._submit = submitter(config, workers, folder.absolute() / "logs")
        self._poll = config.poll
        self._on_report = on_report
        self._lock = threading.Lock()
        self._open: dict[str, _Open] = {}
        self._over = threading.Event()
        try:
            (self._spool / "arrays").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"the spool must be writable, but {self._spool}: {error.strerror}") from error
        self._found = self._alive()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def submit(self, job: Job, /) -> Future[list[RunRecord]]:
        """Queue a job, or continue waiting for it where an earlier driver has submitted it."""
        one = _Open(job, place=self._found.pop(job.stack_id, None))
        if (self._spool / f"{job.stack_id}{DONE}").exists():  # finished while this driver started
            one.place = one.place or ("", 0)
        one.future.set_running_or_notify_cancel()
        with self._lock:
            if self._over.is_set():
                raise RuntimeError("cannot submit a job after shutdown")
            self._open[job.stack_id] = one
        return one.future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more jobs; with `wait`, returns when all are done."""
        while wait and self._open and not cancel_futures:
            time.sleep(_SPOOL_S)
        self._over.set()
        if wait:
            self._thread.join()

    def abort(self) -> None:
        """Stop watching. Tasks queued or running continue, and the next driver stores their results."""
        self.shutdown(cancel_futures=True)
        for one in self._open.values():
            one.future.set_exception(WorkerDiedError("the driver stopped watching; the Slurm job continues"))

    def _alive(self) -> dict[str, tuple[str, int]]:
        """Stacks of earlier drivers' arrays that Slurm still knows as queued or running, by stack id."""
        arrays = {path.name: _stacks(path) for path in (self._spool / "arrays").iterdir()}
        states = self._queue.states(arrays) if arrays else {}
        found = {}
        for name, stacks in arrays.items():
            tasks = {index: state for (array, index), state in states.items() if array == name}
            if not any(state.alive for state in tasks.values()):
                with suppress(OSError):
                    (self._spool / "arrays" / name).unlink()
            for index, state in tasks.items():
                if (
                    state.alive
                    and index < len(stacks)
                    and self._owner(stacks[index]) == name
                    and not self._at_fault(stacks[index])
                ):
                    found[stacks[index]] = (name, index)
        return found

    def _owner(self, stack_id: str) -> str:
        try:
            return (self._spool / f"{stack_id}.owner").read_text()
        except OSError:
            return ""

    def _at_fault(self, stack_id: str) -> bool:
        """Whether its task has given up, though Slurm may not know yet that it is over."""
        fault = read_json(self._spool / f"{stack_id}.fault")
        return fault is not None and fault.get("array") == self._owner(stack_id)

    def _watch(self) -> None:
        """Submit what is new, pass on what has arrived, and now and then ask Slurm for the rest."""
        asked = 0.0
        while not self._over.wait(_SPOOL_S):
            try:
                self._submit_new()
                self._collect()
                if time.monotonic() - asked >= self._poll:
                    asked = time.monotonic()
                    self._ask()
            except Exception as error:  # belongs to whoever waits for the jobs
                self._fail_all(error)

    def _submit_new(self) -> None:
        with self._lock:
            new = [one for one in self._open.values() if one.place is None]
        new.sort(key=lambda one: -one.job.flops)
        for first in range(0, len(new), ARRAY):
            self._submit_array(new[first : first + ARRAY])

    def _submit_array(self, jobs: Sequence[_Open]) -> None:
        name = f"hptransfer-{uuid.uuid4().hex[:12]}"
        stacks = [one.job.stack_id for one in jobs]
        try:
            for one, stack in zip(jobs, stacks, strict=True):
                for leftover in (".fault", ".progress"):
                    (self._spool / f"{stack}{leftover}").unlink(missing_ok=True)
                write_whole(self._spool / f"{stack}.job", pack(one.job))
                write_whole(self._spool / f"{stack}.owner", name.encode())
            write_whole(self._spool / "arrays" / name, json.dumps(stacks).encode())
        except OSError as error:
            raise StoreError(f"the spool must be writable, but {self._spool}: {error.strerror}") from error
        self._submit(name, [Task(str(self._spool), stack, name) for stack in stacks])
        for index, one in enumerate(jobs):
            one.place, one.gone = (name, index), 0

    def _collect(self) -> None:
        """Pass on what tasks have left in the spool."""
        for stack, one in list(self._open.items()):
            found = read_result(self._spool / f"{stack}{DONE}")
            if found is not None:
                records = {record.run_id: record for _, record in found}
                self._close(stack).set_result([records[run.run_id] for run in one.job.runs])
                continue
            fault = read_json(self._spool / f"{stack}.fault")
            if fault is not None and fault.get("array") == (one.place or ("", 0))[0]:
                kind: Kind = "refused" if fault.get("kind") == "refused" else "failed"
                settle(self._close(stack), partial(unwrap_outcome, (kind, str(fault.get("content")))))
                continue
            report = _report(stack, read_json(self._spool / f"{stack}.progress"))
            if report is not None and report.step != one.step:
                one.step = report.step
                self._on_report(report)

    def _ask(self) -> None:
        """Give up tasks that are over and have left nothing."""
        waiting = {one.place[0] for one in self._open.values() if one.place is not None}
        try:
            states = self._queue.states(waiting) if waiting else {}
        except ExecutorError:  # Slurm's controller is away; what runs continues, and so does the wait
            return
        for stack, one in list(self._open.items()):
            state = states.get(one.place, Queued("GONE", "")) if one.place is not None else None
            if state is None or state.alive:
                one.gone = 0
                continue
            one.gone += 1  # the file may still be on its way through a network file system
            if one.gone >= _GRACE:
                told = f"Slurm job {state.job or one.place} ended as {state.name} without a result"
                logs = self._spool.parent / "logs"
                self._close(stack).set_exception(WorkerDiedError(f"{told}; its log is in {logs}"))

    def _close(self, stack: str) -> Future[list[RunRecord]]:
        with self._lock:
            return self._open.pop(stack).future

    def _fail_all(self, error: Exception) -> None:
        for stack in list(self._open):
            self._close(stack).set_exception(error)


def _stacks(path: Path) -> list[str]:
    """The stacks of an array, as its file says; none where it cannot be read."""
    try:
        found = json.loads(read_regular(path, MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return []
    return found if isinstance(found, list) and all(isinstance(stack, str) for stack in found) else []


def _report(stack: str, content: dict[str, Any] | None) -> StepReport | None:
    """A task's report; None where there is none, or anything else stands in its file."""
    step, losses = (content or {}).get("step"), (content or {}).get("losses")
    if not isinstance(step, int) or not isinstance(losses, list):
        return None
    if not all(isinstance(loss, int | float) for loss in losses):
        return None
    return StepReport(stack, step, tuple(float(loss) for loss in losses))
