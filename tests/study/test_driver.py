from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import fake_trainer
import pytest
from rich.console import Console
from small_study import study, without_wall_times

from hptransfer.study.driver import MOST_WAIT, Driver
from hptransfer.study.run import StudyInterrupted, StudyResult, run_study
from hptransfer.study.store import Store
from hptransfer.workers.executor import Job
from hptransfer.workers.local import LocalConfig, LocalExecutor


def same(result: StudyResult, undisturbed: StudyResult) -> bool:
    return without_wall_times(result.csv) == without_wall_times(undisturbed.csv)


def test_a_killed_worker_s_stack_is_trained_again(
    undisturbed: StudyResult, tmp_path: Path, faults: Path
) -> None:
    fake_trainer.arm(faults, "kill", 2, 64)
    result = run_study(study(), tmp_path / "out", train=fake_trainer.NAME)
    assert same(result, undisturbed)
    assert set(Counter(fake_trainer.calls(faults)).values()) <= {1, 2, 3}
    assert result.trained == len(result.rows)


def test_a_stack_that_keeps_killing_workers_is_given_up_then_run_at_the_next_start(
    undisturbed: StudyResult, tmp_path: Path, faults: Path
) -> None:
    spec = study(workers=1)
    fake_trainer.arm(faults, "kill", 5, 64)  # the two stacks of the width take turns: 3 deaths and 2
    result = run_study(spec, tmp_path / "out", train=fake_trainer.NAME)
    assert len(result.failures) == 1
    assert "SIGKILL" in result.failures[0]
    assert "tried 3 times" in result.failures[0]
    failed = [row for row in result.rows if row["status"] == "failed"]
    assert len(failed) == 6
    assert {row["width"] for row in result.rows if row["round"]} == {32}  # width 64 waits with its extension
    calls = Counter(fake_trainer.calls(faults))
    result = run_study(spec, tmp_path / "out", train=fake_trainer.NAME)
    assert same(result, undisturbed)
    repeated = Counter(fake_trainer.calls(faults)) - calls
    assert all(count == 1 for count in repeated.values())
    assert {str(row["run_id"]) for row in failed} <= set(repeated)


def test_a_stack_that_raises_is_tried_again_after_a_while(
    undisturbed: StudyResult, tmp_path: Path, faults: Path
) -> None:
    fake_trainer.arm(faults, "raise", 2, 32)
    console = Console(file=io.StringIO(), width=60)
    result = run_study(study(), tmp_path / "out", train=fake_trainer.NAME, console=console)
    assert result.failures == ()
    assert same(result, undisturbed)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.count("A run failed and will be tried again: RuntimeError: a fault on purpose") == 1


def test_a_stack_that_goes_on_raising_is_reported_and_run_at_the_next_start(
    undisturbed: StudyResult, tmp_path: Path, faults: Path
) -> None:
    spec = study(trial={"retries": 0})
    fake_trainer.arm(faults, "raise", 1, 32)
    result = run_study(spec, tmp_path / "out", train=fake_trainer.NAME)
    assert result.failures == ("RuntimeError: a fault on purpose",)
    assert {row["error"] for row in result.rows if row["status"] == "failed"} == set(result.failures)
    assert same(run_study(spec, tmp_path / "out", train=fake_trainer.NAME), undisturbed)


def test_the_wait_before_a_retry_doubles_up_to_a_limit(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        driver = Driver(study(trial={"backoff": 5}), store, fake_trainer.NAME, 1)
        assert [driver._wait(tries) for tries in (1, 2, 3, 10_000)] == [5.0, 10.0, 20.0, MOST_WAIT]


def test_another_executor_fits_in(undisturbed: StudyResult, tmp_path: Path) -> None:
    made: list[LocalExecutor] = []

    def make(on_report: object) -> LocalExecutor:
        made.append(LocalExecutor(LocalConfig(), 1, tmp_path, on_report))  # type: ignore[arg-type]
        return made[0]

    assert same(run_study(study(), tmp_path, train=fake_trainer.NAME, executor=make), undisturbed)
    assert made[0].pids == []


def test_what_was_finished_when_ctrl_c_came_is_kept(tmp_path: Path) -> None:
    from concurrent.futures import Future

    from hptransfer.runs.config import RunRecord

    class Interrupted:
        """Finishes the first job, and meets Ctrl-C with the second."""

        aborted = False

        def submit(self, job: Job, /) -> Future[list[RunRecord]]:
            if self.first is not None:
                raise KeyboardInterrupt
            self.first = Future()
            self.first.set_result([fake_trainer._record(run, 0.1) for run in job.runs])
            return self.first

        first: Future[list[RunRecord]] | None = None

        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None: ...

        def abort(self) -> None:
            self.aborted = True

    engine = Interrupted()
    with pytest.raises(StudyInterrupted, match=r"stopped: 6 of 12 runs kept in .*resumes the study"):
        run_study(study(), tmp_path, train=fake_trainer.NAME, executor=lambda _: engine)
    assert engine.aborted
    assert len(without_wall_times(tmp_path / "runs.csv")) == 7
    with Store(tmp_path) as store:
        assert len(store.losses()) == 6
