"""Driver: hands the stacks of a plan to an engine and keeps what comes back."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from queue import Empty, SimpleQueue

from rich.console import Console

from hptransfer.errors import HPTransferError, StoreError
from hptransfer.lm.config import RunRecord
from hptransfer.sweep.executors import Executor, Job, OnReport, StepReport, WorkerDiedError
from hptransfer.sweep.planner import Stack, plan_width
from hptransfer.sweep.progress import Progress
from hptransfer.sweep.runs import level
from hptransfer.sweep.store import Store
from hptransfer.sweep.study import StudySpec
from hptransfer.sweep.view import View, show

ATTEMPTS = 3  # times a stack is begun before a worker's death counts as the stack's fault
_TICK = 0.25  # seconds between two looks at progress

Results = list[RunRecord]


class Driver:
    """One session of a study: trains what is missing, round by round, until nothing is.

    Arguments:
        spec: of the study.
        store: open for writing.
        train: `module:function` that trains a stack.
        workers: that train at the same time, for the ETA.
    """

    def __init__(self, spec: StudySpec, store: Store, train: str, workers: int) -> None:
        self.progress = Progress(spec, workers)
        self.trained = 0  # runs finished in this session
        self._eager = False  # whether the lack of a compiler was told
        self._spec = spec
        self._store = store
        self._train = train
        self._losses = store.losses()
        self._known: set[str] = set()  # runs that progress has counted
        self._begun: set[str] = set()  # stacks handed out in this session
        self._deaths: Counter[str] = Counter()  # of workers, by stack
        self._pending: dict[Future[Results], Stack] = {}
        self._reports: SimpleQueue[StepReport] = SimpleQueue()

    def missing(self, widths: Iterable[int]) -> list[Stack]:
        """Stacks that are determined, not finished and not begun in this session."""
        found = []
        for stack in (stack for width in widths for stack in plan_width(self._spec, width, self._losses)):
            for run in stack.runs:
                if run.run_id not in self._known and run.run_id in self._losses:
                    self.progress.keep(run, self._losses[run.run_id])
                self._known.add(run.run_id)
            todo = stack.without(self._losses)
            if todo is not None and todo.stack_id not in self._begun:
                found.append(todo)
        return found

    def run(self, make: Callable[[OnReport], Executor], console: Console, stacks: Sequence[Stack]) -> None:
        """Train these stacks, and those that their results ask for.

        Whatever ends this early, results that have arrived are kept and the workers are ended.
        """
        engine = make(self._reports.put)
        try:
            self._begin(engine, stacks)
            with show(self.progress, console) as view:
                while self._pending:
                    self._look(engine, view)
        except BaseException:
            engine.abort()
            self._salvage()
            raise
        engine.shutdown()

    def _begin(self, engine: Executor, stacks: Iterable[Stack]) -> None:
        for stack in stacks:
            self._begun.add(stack.stack_id)
            self.progress.open(stack)
            self._submit(engine, stack)

    def _submit(self, engine: Executor, stack: Stack) -> None:
        job = Job(
            stack_id=stack.stack_id,
            runs=tuple(run.spec for run in stack.runs),
            train=self._train,
            compiled=stack.compiled,
            flops=stack.flops,
        )
        self._pending[engine.submit(job)] = stack

    def _look(self, engine: Executor, view: View) -> None:
        """Wait a little; take in reports and whatever is finished, refusals last since they end the study."""
        done, _ = wait(self._pending, timeout=_TICK, return_when=FIRST_COMPLETED)
        with suppress(Empty):
            while True:
                self.progress.report(self._reports.get_nowait())
        for future in sorted(done, key=_refused):
            stack = self._pending[future]
            records = self._settle(engine, stack, future)
            del self._pending[future]
            if records is not None:
                self._keep(stack, records)
                self._note_eager(stack, records, view)
                self._begin(engine, self.missing([stack.width]))
                view.stack_closed(stack)
        view.tick()

    def _settle(self, engine: Executor, stack: Stack, future: Future[Results]) -> Results | None:
        """A stack's records, failed ones where training raised; None where it is begun again."""
        try:
            return future.result()
        except HPTransferError:
            raise
        except WorkerDiedError as error:
            self._deaths[stack.stack_id] += 1
            if self._deaths[stack.stack_id] < ATTEMPTS:
                self._submit(engine, stack)
                return None
            return _failed(stack, f"{error} (begun {ATTEMPTS} times)")
        except Exception as error:
            return _failed(stack, str(error))

    def _keep(self, stack: Stack, records: Results) -> None:
        pairs = list(zip(stack.runs, records, strict=True))
        self._store.add(stack.stack_id, [(run.spec, record) for run, record in pairs])
        finished = {r.run_id: level(r) for r in records if r.status != "failed"}
        self._losses.update(finished)
        self.trained += len(finished)
        self.progress.close(stack, records)

    def _note_eager(self, stack: Stack, records: Results, view: View) -> None:
        """The trainer's own warning ends in a worker's log, where nobody looks."""
        if stack.compiled and not self._eager and records[0].engine.get("compiled") is False:
            self._eager = True
            view.note("no C++ compiler was found: training runs uncompiled, about half as fast")

    def _salvage(self) -> None:
        """Keep what was finished but not yet taken in when the session was ended."""
        with suppress(StoreError):
            for future, stack in self._pending.items():
                if future.done() and not future.cancelled() and future.exception() is None:
                    self._keep(stack, future.result())


def _refused(future: Future[Results]) -> bool:
    return not future.cancelled() and isinstance(future.exception(), HPTransferError)


def _failed(stack: Stack, reason: str) -> Results:
    return [
        RunRecord(run_id=run.run_id, status="failed", loss=math.nan, tokens=run.spec.tokens, error=reason)
        for run in stack.runs
    ]
