"""How far a study is, by size and variant, and when it will be done."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from hptransfer.runs.config import RunRecord
from hptransfer.runs.flops import run_flops
from hptransfer.study.runs_table import planner_loss
from hptransfer.study.scale import Size
from hptransfer.study.spec import StudySpec
from hptransfer.study.stacks import PlannedRun, Stack
from hptransfer.workers.executor import StepReport

State = Literal["running", "ended", "not running"]
_MANY = 200  # open stacks from which the ETA is reckoned at most once a second


@dataclass
class Cell:
    """One variant at one size."""

    planned: int = 0  # runs, as far as they are determined
    done: int = 0  # finished runs, diverged ones included
    diverged: int = 0  # of those
    failed: int = 0  # given up for this session
    best: float = math.inf  # smallest loss, nats per token
    best_lr: float = math.nan  # where, in the grid's coordinates


@dataclass(frozen=True)
class RunningStack:
    """How far a stack is that is being trained."""

    size: str  # of its runs, in words
    runs: int  # in number
    step: int  # done
    steps: int  # of a run


@dataclass
class _StackPace:
    """A stack that a worker is training."""

    stack: Stack
    since: float  # time of the first report
    first: int  # step of the first report
    now: float  # time of the latest
    step: int  # step of the latest

    def left(self) -> float | None:
        """Seconds until it is done, at its own pace."""
        if self.step <= self.first:
            return None
        return (self.now - self.since) / (self.step - self.first) * (self.stack.steps - self.step)


@dataclass(frozen=True)
class Snapshot:
    """A study's progress at one moment."""

    spec: StudySpec  # of the study
    cells: Mapping[tuple[str, Size], Cell]  # by variant and size
    elapsed: float | None  # seconds since the driver's start; None where none runs
    left: float | None  # seconds to the end of what is planned, as the driver has learned; None where unknown
    running_stacks: tuple[RunningStack, ...] = ()  # stacks that are being trained
    state: State = "not running"  # of the driver

    def total(self, name: str) -> int:
        """A count (`planned`, `done`, `diverged`, `failed`) over the whole study."""
        return sum(int(getattr(cell, name)) for cell in self.cells.values())


def empty_cells(spec: StudySpec) -> dict[tuple[str, Size], Cell]:
    """A cell without runs for every variant and size of a study."""
    return {(variant, size): Cell() for variant in spec.variants_with_decay() for size in spec.sizes}


class Progress:
    """Counts what is planned, finished and under way.

    Args:
        spec: of the study.
        workers: that train at the same time.
        clock: seconds.
    """

    def __init__(self, spec: StudySpec, workers: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.spec = spec
        self.cells = empty_cells(spec)
        self._workers = workers
        self._clock = clock
        self._start = clock()
        self._open: dict[str, Stack] = {}
        self._running: dict[str, _StackPace] = {}
        self._seconds: dict[Size, list[float]] = {}  # of runs finished in this session, by size
        self._before: dict[Size, list[float]] = {}  # of those of earlier sessions
        self._told: tuple[float, float | None] = (-math.inf, None)  # when the ETA was reckoned, and the ETA

    def keep(self, run: PlannedRun, loss: float, seconds: float = 0.0) -> None:
        """A run that is in the store already, and the time that it took, where that is known."""
        cell = self._cell(run)
        cell.planned += 1
        self._count(cell, run, loss)
        if seconds > 0:
            self._before.setdefault(run.size, []).append(seconds)

    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._start

    def expect(self, run: PlannedRun, *, failed: bool) -> None:
        """A run that is planned and not finished."""
        cell = self._cell(run)
        cell.planned += 1
        cell.failed += failed

    def snapshot(self, state: State = "running") -> Snapshot:
        """The progress now; the cells are those that go on counting."""
        running_stacks = tuple(
            RunningStack(str(pace.stack.size), len(pace.stack.runs), pace.step, pace.stack.steps)
            for pace in self._running.values()
        )
        return Snapshot(self.spec, self.cells, self.elapsed(), self.eta(), running_stacks, state)

    def open(self, stack: Stack) -> None:
        """A stack that is to be trained."""
        self._open[stack.stack_id] = stack
        for run in stack.runs:
            self._cell(run).planned += 1

    def again(self, stack: Stack, rest: Stack) -> None:
        """What failed of a stack, to be tried again; it is planned already."""
        self._open.pop(stack.stack_id, None)
        self._running.pop(stack.stack_id, None)
        self._open[rest.stack_id] = rest

    def report(self, report: StepReport) -> None:
        """A stack's progress."""
        stack, now = self._open.get(report.stack_id), self._clock()
        running = self._running.get(report.stack_id)
        if stack is None:
            return
        if running is None or report.step < running.step:  # begun again, after its worker died
            running = self._running[report.stack_id] = _StackPace(stack, now, report.step, now, report.step)
        running.now, running.step = now, report.step

    def close(self, stack: Stack, records: Sequence[RunRecord]) -> None:
        """A stack that is finished or given up."""
        self._open.pop(stack.stack_id, None)
        self._running.pop(stack.stack_id, None)
        for run, record in zip(stack.runs, records, strict=True):
            if record.status == "failed":
                self._cell(run).failed += 1
            else:
                self._count(self._cell(run), run, planner_loss(record))
                self._seconds.setdefault(stack.size, []).append(record.wall_s)

    def eta(self) -> float | None:
        """Seconds to the end of what is planned; None until there is something to judge by.

        Learned from this session's finished stacks and from the pace of those under way, and before there
        are any, from the runs of earlier sessions; a size that nothing is known of yet goes by the FLOPs of
        the one with the nearest width.
        """
        if len(self._open) > _MANY and self._clock() - self._told[0] < 1.0:
            return self._told[1]
        self._told = self._clock(), self._eta()
        return self._told[1]

    def _eta(self) -> float | None:
        paces = self._paces()
        if not paces:
            return None if self._open else 0.0
        lefts = [self._left(stack, paces) for stack in self._open.values()]
        return max(max(lefts, default=0.0), math.fsum(lefts) / self._workers)

    def _paces(self) -> dict[Size, float]:
        """Seconds of worker time a FLOP, by size."""
        paces = {
            running.stack.size: left / (1 - running.step / running.stack.steps) / running.stack.flops
            for running in self._running.values()
            if (left := running.left())
        }
        for size, seconds in (self._seconds or ({} if paces else self._before)).items():
            paces[size] = math.fsum(seconds) / len(seconds) / run_flops(self.spec.example_run(size))
        return paces

    def _left(self, stack: Stack, paces: dict[Size, float]) -> float:
        running = self._running.get(stack.stack_id)
        if running is not None and (left := running.left()) is not None:
            return left
        nearest = min(paces, key=lambda size: abs(math.log(size.width / stack.width)))
        return stack.flops * paces[nearest]

    def _cell(self, run: PlannedRun) -> Cell:
        return self.cells[run.variant, run.size]

    def _count(self, cell: Cell, run: PlannedRun, loss: float) -> None:
        cell.done += 1
        if not math.isfinite(loss):
            cell.diverged += 1
        elif loss < cell.best:
            cell.best = loss
            cell.best_lr = self.spec.lr_at(run.index, run.size.width, self.spec.lr.coordinates)
