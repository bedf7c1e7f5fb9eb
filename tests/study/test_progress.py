from __future__ import annotations

import math

import fake_trainer
import pytest
from small_study import study

from hptransfer.runs.config import RunRecord
from hptransfer.study.planner import plan
from hptransfer.study.progress import Progress
from hptransfer.study.progress_text import cell_text
from hptransfer.study.scale import Size
from hptransfer.study.stacks import Stack
from hptransfer.workers.executor import StepReport


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Clock:
    return Clock()


@pytest.fixture
def stacks() -> list[Stack]:
    return plan(study(train={"steps": 100}), {})  # sp 32, mup 32, sp 64, mup 64; 6 runs each


@pytest.fixture
def progress(time: Clock, stacks: list[Stack]) -> Progress:
    progress = Progress(study(train={"steps": 100}), workers=2, clock=time)
    for stack in stacks:
        progress.open(stack)
    return progress


def records(stack: Stack, wall_s: float, status: str = "done") -> list[RunRecord]:
    return [
        RunRecord(r.run_id, status, fake_trainer.loss(r.spec), wall_s=wall_s)  # type: ignore[arg-type]
        for r in stack.runs
    ]


def test_counts_best_and_where(progress: Progress, stacks: list[Stack]) -> None:
    assert progress.snapshot().total("planned") == 24
    progress.close(stacks[0], records(stacks[0], 1.0))
    cell = progress.cells["sp", Size(32)]
    assert (cell.done, cell.planned, cell.diverged) == (6, 6, 0)
    assert cell.best == min(fake_trainer.loss(r.spec) for r in stacks[0].runs)
    assert cell.best_lr == 2**-7  # in the grid's coordinates
    progress.close(stacks[3], records(stacks[3], 1.0, "diverged"))
    assert (progress.cells["mup", Size(64)].diverged, progress.cells["mup", Size(64)].best) == (6, math.inf)
    progress.close(stacks[2], records(stacks[2], 0.0, "failed"))
    assert (progress.snapshot().total("done"), progress.snapshot().total("failed")) == (12, 6)


def test_runs_in_the_store_count_as_done(stacks: list[Stack], time: Clock) -> None:
    progress = Progress(study(), workers=2, clock=time)
    progress.keep(stacks[0].runs[0], 3.0)
    progress.keep(stacks[0].runs[1], math.inf)
    assert cell_text(progress.cells["sp", Size(32)]) == "2/2, best 3.0000, 1 diverged"
    assert progress.eta() == 0.0


def test_the_eta_is_unknown_then_learns_from_steps_then_from_finished_stacks(
    progress: Progress, stacks: list[Stack], time: Clock
) -> None:
    assert progress.eta() is None
    progress.report(StepReport(stacks[2].stack_id, 1, (5.0,)))
    time.now = 10.0
    progress.report(StepReport(stacks[2].stack_id, 51, (4.0,)))
    ratio = stacks[0].flops / stacks[2].flops
    # 49 steps at 5 a second are left of this one, 20 s of its equal, the rest by FLOPs; two workers
    assert progress.eta() == pytest.approx((9.8 + 20 + 2 * 20 * ratio) / 2)
    progress.close(stacks[2], records(stacks[2], 4.0))
    assert progress.eta() == pytest.approx(24)  # the last of this width outlasts the two small ones beside it
    for stack in stacks[:2]:
        progress.close(stack, records(stack, 1.0))
    assert progress.eta() == pytest.approx(24)
    progress.close(stacks[3], records(stacks[3], 4.0))
    assert progress.eta() == 0.0


def test_a_stack_that_is_begun_again_starts_its_pace_anew(
    progress: Progress, stacks: list[Stack], time: Clock
) -> None:
    for now, step in ((0.0, 1), (10.0, 90), (20.0, 1), (22.0, 3)):
        time.now = now
        progress.report(StepReport(stacks[0].stack_id, step, (4.0,)))
    eta = progress.eta()
    assert eta is not None
    assert eta >= 97  # 97 steps at one a second


def test_a_report_of_a_stack_that_is_not_open_is_ignored() -> None:
    progress = Progress(study(), workers=1)
    progress.report(StepReport("unknown", 3, (1.0,)))
    assert progress.eta() == 0.0
    assert progress.snapshot().running_stacks == ()
