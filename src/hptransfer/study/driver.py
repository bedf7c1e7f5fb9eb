"""The driver of a study: hands the stacks of a plan to an executor and stores their results."""

from __future__ import annotations

import dataclasses
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeVar

from rich.console import Console

from hptransfer.errors import HPTransferError, StoreError
from hptransfer.files import printable
from hptransfer.runs.config import RunRecord
from hptransfer.study.planner import coupled_sizes, plan
from hptransfer.study.progress import Progress
from hptransfer.study.progress_display import ProgressView, show_progress
from hptransfer.study.runs_table import place_of, planner_loss
from hptransfer.study.scale import Size
from hptransfer.study.spec import StudySpec
from hptransfer.study.stacks import PlannedRun, Stack
from hptransfer.study.store import Store
from hptransfer.study.store_integrity import storable
from hptransfer.study.store_schema import Place
from hptransfer.workers.executor import Executor, Job, OnReport, StepReport
from hptransfer.workers.spool import clear, discard_result, spool_of

MOST_WAIT = 600.0  # seconds: a backoff grows no longer than this
_TICK = 0.25  # seconds between two looks at progress

Results = list[RunRecord]
Cleanup = Callable[[Path, str], None]  # removes what a stack left in a spool
T = TypeVar("T")


class Driver:
    """One session of a study: trains what is missing, round by round, until nothing is.

    A run that fails is tried again after a while, as often as the spec allows, then reported as failed.

    Args:
        spec: of the study.
        store: open for writing.
        train: `module:function` that trains a stack of the built-in model.
        workers: that train at the same time, for the ETA.
    """

    def __init__(self, spec: StudySpec, store: Store, train: str, workers: int) -> None:
        self.progress = Progress(spec, workers)
        self.trained = 0  # runs finished in this session
        self.notified: set[str] = set()  # notes that were shown once
        self._spec = spec
        self._store = store
        self._folder = store.path.parent.absolute()
        self._train = train
        self._losses = store.losses()
        self._took = {
            str(run_id): float(wall_s or 0.0) for run_id, wall_s in store.rows(["run_id", "wall_s"])
        }
        self._known: set[str] = set()  # runs that progress has counted
        self._started: set[str] = set()  # runs handed out in this session
        self._tries: Counter[str] = Counter()  # of a run, in this session
        self._places: dict[str, Place] = {}  # places of runs in the study, as far as they are planned
        self._load: Counter[Size] = Counter()  # stacks that are to come, by size
        self._pending: dict[Future[Results], Stack] = {}
        self._retries: list[tuple[float, Stack]] = []  # when, by the monotonic clock, to try again
        self._done: SimpleQueue[Future[Results]] = SimpleQueue()
        self._reports: SimpleQueue[StepReport] = SimpleQueue()

    def missing(self, sizes: Iterable[Size]) -> list[Stack]:
        """Stacks that are determined, not finished and not begun in this session."""
        found = []
        for stack in plan(self._spec, self._losses, list(sizes)):
            self._register(stack)
            todo = stack.without(self._losses)
            if todo is not None and not any(run.run_id in self._started for run in todo.runs):
                found.append(todo)
        return found

    def places(self) -> list[Place]:
        """Places in the study of every run that is planned so far."""
        return list(self._places.values())

    def run(self, make: Callable[[OnReport], Executor], console: Console, stacks: Sequence[Stack]) -> None:
        """Trains these stacks, and those that their results add to the plan.

        Whatever ends this early, results that have arrived are kept and the workers are ended.
        """
        engine = make(self._reports.put)
        try:
            self._begin(engine, stacks)
            with show_progress(self.progress, console, self._folder) as view:
                while self._pending or self._retries:
                    self._poll(engine, view)
        except BaseException:
            engine.abort()
            self._salvage()
            raise
        engine.shutdown()

    def _register(self, stack: Stack) -> None:
        """Take note of the runs of a stack that is planned."""
        for run in stack.runs:
            if run.run_id not in self._places:
                self._places[run.run_id] = place_of(self._spec, stack.round, run)
            if run.run_id not in self._known and run.run_id in self._losses:
                self.progress.keep(run, self._losses[run.run_id], self._took.get(run.run_id, 0.0))
            self._known.add(run.run_id)

    def _begin(self, engine: Executor, stacks: Iterable[Stack]) -> None:
        for stack in stacks:
            self._load[stack.size] += 1
            self._started.update(run.run_id for run in stack.runs)
            self.progress.open(stack)
            self._submit(engine, stack)

    def _submit(self, engine: Executor, stack: Stack) -> None:
        job = Job(
            stack_id=stack.stack_id,
            runs=tuple(run.spec for run in stack.runs),
            train=self._train,
            compiled=stack.compiled,
            flops=stack.flops,
            folder=str(self._folder),
            trial=self._spec.trial,
        )
        future = engine.submit(job)
        self._pending[future] = stack
        future.add_done_callback(self._done.put)

    def _poll(self, engine: Executor, view: ProgressView) -> None:
        """Waits a little; handles reports and finished stacks, refusals last since they end the study."""
        done = sorted(_drain(self._done, _TICK), key=_refused)
        for report in _drain(self._reports):
            self.progress.report(report)
        cleanups: dict[Future[Results], Cleanup] = {}
        if done:
            with self._store.batch_commit():  # a disk takes as long for a hundred stacks as for one
                for future in done:
                    stack = self._pending[future]
                    cleanups[future] = self._take_in(stack, _records(stack, future), view)
        for future, clean_up in cleanups.items():  # only now are their results safe in the store
            stack = self._pending.pop(future)
            clean_up(spool_of(self._folder), stack.stack_id)
            sizes = coupled_sizes(self._spec, stack.size)
            if not any(self._load[size] for size in sizes):  # their plan stays while results are to come
                self._begin(engine, self.missing(sizes))
        for stack in self._due():
            self._submit(engine, stack)
        view.tick()

    def _due(self) -> list[Stack]:
        now = time.monotonic()
        due = [stack for when, stack in self._retries if when <= now]
        self._retries = [(when, stack) for when, stack in self._retries if when > now]
        return due

    def _take_in(self, stack: Stack, records: Results, view: ProgressView) -> Cleanup:
        """Stores what is finished; tries the rest again, or gives it up. Returns how to clear the spool."""
        self._load[stack.size] -= 1
        pairs = list(zip(stack.runs, records, strict=True))
        failed = [(run, record) for run, record in pairs if record.status == "failed"]
        self._tries.update(run.run_id for run, _ in failed)
        tries = max((self._tries[run.run_id] for run, _ in failed), default=0)
        if failed and tries <= self._spec.trial.retries:
            finished = [(run, record) for run, record in pairs if record.status != "failed"]
            rest = dataclasses.replace(stack, runs=tuple(run for run, _ in failed))
            self._keep(stack, finished)
            self.progress.again(stack, rest)
            self._load[rest.size] += 1
            self._retries.append((time.monotonic() + self._wait(tries), rest))
            self._notify_once(view, f"A run failed and will be tried again: {failed[0][1].error}")
            return discard_result
        self._keep(stack, [(run, _counted(record, tries)) for run, record in pairs])
        if stack.compiled and records[0].engine.get("compiled") is False:
            self._notify_once(
                view, "The training step was not compiled, so training is about half as fast; see the logs."
            )
        view.stack_closed(stack)
        return clear

    def _wait(self, tries: int) -> float:
        """Seconds before a run that has failed so often is tried again."""
        return min(self._spec.trial.backoff * 2.0 ** min(tries - 1, 60), MOST_WAIT)

    def _keep(self, stack: Stack, pairs: Sequence[tuple[PlannedRun, RunRecord]]) -> None:
        """Into the store, with the runs' places, and out of the spool."""
        if not pairs:
            return
        self._store.add(
            stack.stack_id,
            [(run.spec, record) for run, record in pairs],
            [self._places[run.run_id] for run, _ in pairs],
        )
        finished = {r.run_id: planner_loss(r) for _, r in pairs if r.status != "failed"}
        self.trained += len(finished.keys() - self._losses.keys())
        self._losses.update(finished)
        kept = dataclasses.replace(stack, runs=tuple(run for run, _ in pairs))
        self.progress.close(kept, [record for _, record in pairs])

    def _notify_once(self, view: ProgressView, text: str) -> None:
        if text not in self.notified:
            self.notified.add(text)
            view.note(text)

    def _salvage(self) -> None:
        """Store the runs that were finished but not yet stored when the driver was ended."""
        with suppress(StoreError):
            for future, stack in self._pending.items():
                if future.done() and not future.cancelled() and future.exception() is None:
                    pairs = zip(stack.runs, _records(stack, future), strict=True)
                    self._keep(stack, [(run, record) for run, record in pairs if record.status != "failed"])


def _drain(queue: SimpleQueue[T], wait: float = 0.0) -> list[T]:
    """Everything in a queue; where it is empty, what arrives first within so many seconds."""
    found: list[T] = []
    with suppress(Empty):
        found.append(queue.get(timeout=wait) if wait else queue.get_nowait())
        while True:
            found.append(queue.get_nowait())
    return found


def _records(stack: Stack, future: Future[Results]) -> Results:
    """A stack's records, failed ones where training raised or its worker died."""
    try:
        return [storable(run.spec, record) for run, record in zip(stack.runs, future.result(), strict=True)]
    except HPTransferError:
        raise
    except Exception as error:
        return [
            RunRecord(
                run.run_id, "failed", math.nan, tokens=run.spec.tokens, error=printable(str(error))[:1000]
            )
            for run in stack.runs
        ]


def _counted(record: RunRecord, tries: int) -> RunRecord:
    """A failed record that says how often it was tried."""
    if record.status != "failed" or tries < 2:
        return record
    return dataclasses.replace(record, error=f"{record.error} (tried {tries} times)")


def _refused(future: Future[Results]) -> bool:
    return not future.cancelled() and isinstance(future.exception(), HPTransferError)
