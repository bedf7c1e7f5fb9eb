from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import fake_trainer
import psutil
import pytest
from small_study import study

from hptransfer.errors import HPTransferError, StoreError
from hptransfer.runs.config import RunSpec
from hptransfer.workers.executor import Job, JobFailedError, StepReport, WorkerDiedError
from hptransfer.workers.local import LocalConfig, LocalExecutor

HERE = Path(__file__).parent


def job(width: int = 32, members: int = 2, **fields: object) -> Job:
    spec = study(widths=[32, 64, 128], train={"steps": 20})
    runs: tuple[RunSpec, ...] = tuple(spec.run("sp", width, index, 0) for index in range(members))
    plain = {
        "stack_id": f"{width}x{members}",
        "runs": runs,
        "train": fake_trainer.NAME,
        "flops": float(width),
    }
    return Job(**{**plain, **fields})  # type: ignore[arg-type]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., LocalExecutor]]:
    made: list[LocalExecutor] = []

    def executor(workers: int = 1, on_report: Callable[[StepReport], None] = lambda _: None) -> LocalExecutor:
        made.append(LocalExecutor(LocalConfig(), workers, tmp_path, on_report))
        return made[-1]

    yield executor
    for one in made:
        one.abort()


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_job_gives_its_records_in_order_and_reports_on_the_way(
    make: Callable[..., LocalExecutor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_STEP_S", "0.06")
    reports: list[StepReport] = []
    records = make(1, reports.append).submit(job()).result(60)
    assert [r.run_id for r in records] == [run.run_id for run in job().runs]
    assert [r.loss for r in records] == [fake_trainer.loss(run) for run in job().runs]
    assert reports[0].step == 1
    assert 2 <= len(reports) <= 8  # now and then, not one a step
    assert all(len(report.losses) == 2 for report in reports)


def test_a_worker_is_one_thread_and_its_prints_go_to_the_log(
    make: Callable[..., LocalExecutor], tmp_path: Path
) -> None:
    with pytest.raises(JobFailedError, match="one record a run"):
        make().submit(job(train="fake_trainer:show_threads")).result(60)
    assert "threads 1 1\n" in (tmp_path / "logs" / "worker-0.log").read_text()


def test_the_largest_waiting_job_goes_first(make: Callable[..., LocalExecutor], faults: Path) -> None:
    executor = make()
    with executor._ready:  # so that all are waiting when the worker looks
        futures = [executor.submit(job(width)) for width in (32, 64, 32, 128)]
    for future in futures:
        future.result(60)
    began = sorted(faults.glob("call-*"), key=lambda file: int(file.name.split("-")[2]))
    order = [file.read_text().split()[0] for file in began]
    assert order == [job(width).runs[0].run_id for width in (128, 64, 32, 32)]


def test_a_worker_goes_on_with_the_shape_it_has_compiled() -> None:
    executor = LocalExecutor.__new__(LocalExecutor)
    first, second = (type("W", (), {"shape": None})() for _ in range(2))
    waiting = [job(w, compiled=True, stack_id=f"{w}-{i}") for w in (32, 64, 128) for i in range(2)]
    executor._ready, executor._closed = threading.Condition(), False
    executor._workers = [first, second]
    executor._waiting = [(one, None) for one in waiting]  # type: ignore[misc]
    took = [executor._take(worker)[0].stack_id for worker in (first, second, second, second, first, second)]  # type: ignore[index]
    # The second leaves the first's width alone, then shares what is left rather than stand still.
    assert took == ["128-0", "64-0", "64-1", "32-0", "128-1", "32-1"]


def test_what_training_raises_is_one_line_and_the_worker_lives_on(
    make: Callable[..., LocalExecutor], faults: Path
) -> None:
    executor = make()
    fake_trainer.arm(faults, "raise", 1, 32)
    with pytest.raises(JobFailedError, match=r"^RuntimeError: a fault on purpose$"):
        executor.submit(job()).result(60)
    pids = executor.pids
    fake_trainer.arm(faults, "refuse", 1, 32)
    with pytest.raises(HPTransferError, match="there must be text"):
        executor.submit(job()).result(60)
    assert len(executor.submit(job()).result(60)) == 2
    assert executor.pids == pids


def test_a_killed_worker_is_told_and_replaced(make: Callable[..., LocalExecutor], faults: Path) -> None:
    executor = make()
    fake_trainer.arm(faults, "kill", 1, 32)
    with pytest.raises(WorkerDiedError, match=r"SIGKILL \(out of memory\?\); its log is .*worker-0\.log"):
        executor.submit(job()).result(60)
    assert len(executor.submit(job()).result(60)) == 2
    os.kill(executor.pids[0], signal.SIGKILL)  # while it has nothing to do
    until(lambda: not executor.pids)
    assert len(executor.submit(job()).result(60)) == 2


def test_one_worker_s_death_does_not_touch_the_other(
    make: Callable[..., LocalExecutor], faults: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_STEP_S", "0.05")
    executor = make(2)
    slow = executor.submit(job(64))
    fake_trainer.arm(faults, "kill", 1, 32)
    with pytest.raises(WorkerDiedError):
        executor.submit(job(32)).result(60)
    assert len(slow.result(60)) == 2


def test_abort_ends_running_jobs_and_cancels_waiting_ones(
    make: Callable[..., LocalExecutor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_STEP_S", "5")
    executor = make()
    running, waiting = executor.submit(job()), executor.submit(job())
    until(lambda: bool(executor.pids))
    (pid,) = executor.pids
    executor.abort()
    with pytest.raises(WorkerDiedError):
        running.result(5)
    with pytest.raises(CancelledError):
        waiting.result(5)
    assert not psutil.pid_exists(pid)
    with pytest.raises(RuntimeError, match="shutdown"):
        executor.submit(job())


def test_shutdown_finishes_what_was_submitted(make: Callable[..., LocalExecutor]) -> None:
    executor = make()
    futures = [executor.submit(job()) for _ in range(3)]
    executor.shutdown()
    assert all(len(future.result(0)) == 2 for future in futures)
    assert executor.pids == []


def test_workers_end_when_the_driver_is_killed_amid_their_work(tmp_path: Path) -> None:
    code = (
        "import sys, time; sys.path[:0] = sys.argv[2:]\n"
        "from pathlib import Path; from test_local import job, LocalConfig, LocalExecutor\n"
        "show = lambda report: print(*executor.pids, flush=True)\n"
        "executor = LocalExecutor(LocalConfig(), 2, Path(sys.argv[1]), show)\n"
        "[executor.submit(job()) for _ in range(2)]; time.sleep(600)"
    )
    command = [sys.executable, "-c", code, str(tmp_path), str(HERE), str(HERE.parent / "study")]
    environment = {**os.environ, "FAKE_STEP_S": "0.7"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as driver:
        assert driver.stdout is not None
        pids: list[int] = []
        while len(pids) < 2:
            pids = [int(pid) for pid in driver.stdout.readline().split()]
        driver.kill()
    until(lambda: not any(psutil.pid_exists(pid) for pid in pids))


def test_logs_that_cannot_be_written_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="folder for logs must be writable"):
        LocalExecutor(LocalConfig(), 1, tmp_path / "file", lambda _: None)
