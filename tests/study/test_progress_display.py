from __future__ import annotations

import io

import fake_trainer
import pytest
from rich.console import Console
from small_study import study

from hptransfer.runs.config import RunRecord
from hptransfer.study.planner import plan
from hptransfer.study.progress import Cell, Progress
from hptransfer.study.progress_display import show_progress
from hptransfer.study.progress_text import cell_text, clock, running_stacks, summary
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


def test_texts() -> None:
    assert cell_text(Cell(planned=9, done=7, diverged=1, failed=2, best=3.8934)) == (
        "7/9, best 3.8934, 1 diverged, 2 failed"
    )
    assert cell_text(Cell(planned=9)) == "0/9"
    assert [clock(s) for s in (7, 750.4, 11100)] == ["0:07", "12:30", "3:05:00"]


def test_the_live_view_has_every_variant_and_width(
    progress: Progress, stacks: list[Stack], time: Clock
) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100, legacy_windows=False)
    with show_progress(progress, console) as view:
        time.now = 62.0
        progress.close(stacks[1], records(stacks[1], 2.0))
        view.stack_closed(stacks[1])
        view.tick()
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for part in ("width 32", "width 64", "sp", "mup", "6/6, best 3.3", "0/6", "6/24 runs", "1:02 elapsed"):
        assert part in text


def test_plain_lines_name_width_variant_best_and_eta(progress: Progress, stacks: list[Stack]) -> None:
    console = Console(file=io.StringIO(), width=20)
    with show_progress(progress, console) as view:
        progress.close(stacks[0], records(stacks[0], 2.0))
        view.stack_closed(stacks[0])
        view.tick()
        view.note("by the way")
    first, line, note = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert first == f"study {progress.spec.name}: 0/24 runs, 0:00 elapsed"
    assert line.startswith("width 32 sp: 6/6, best 3.3")
    assert "at lr 2^-7; 6/24 runs, 0:00 elapsed, about " in line
    assert note == "by the way"
    assert summary(progress.snapshot()).startswith("6/24 runs")


def test_plain_lines_come_while_the_first_stack_trains(
    progress: Progress, stacks: list[Stack], time: Clock
) -> None:
    console = Console(file=io.StringIO(), width=20)
    with show_progress(progress, console) as view:
        for now in range(0, 120, 1):
            time.now = float(now)
            if now >= 6:
                progress.report(StepReport(stacks[0].stack_id, (now - 5) // 2, (1.0,)))
            view.tick()
    _, first, second, *rest = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert first.endswith("0:05 elapsed; starting: no step is reported yet, so the time left is not known")
    assert "0:15 elapsed, about " in second
    assert second.endswith("left; training: width 32, 6 runs, step 5/100")
    assert len(rest) <= 3  # ever more seldom


def test_time_left_is_known_at_once_where_runs_of_an_earlier_session_took_their_time(
    time: Clock, stacks: list[Stack]
) -> None:
    again = Progress(study(train={"steps": 100}), workers=1, clock=time)
    for run in stacks[0].runs:
        again.keep(run, 3.0, seconds=10.0)
    again.open(stacks[1])  # of the same width
    assert again.eta() == pytest.approx(60.0)
    assert running_stacks(again.snapshot()) == "starting: no step is reported yet"
