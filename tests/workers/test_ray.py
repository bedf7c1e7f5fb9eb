"""Jobs on a real Ray."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import fake_trainer
import psutil
import pytest
from small_study import study, without_wall_times
from tests.workers.test_local import job, until

from hptransfer.errors import ExecutorError, HPTransferError
from hptransfer.study.run import StudyResult, run_study
from hptransfer.workers import run_job as run_job_module
from hptransfer.workers.executor import JobFailedError, StepReport, WorkerDiedError
from hptransfer.workers.ray import RayConfig, RayExecutor

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Ray's own
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
Make = Callable[..., RayExecutor]


@pytest.fixture
def make(ray_cluster: str, tmp_path: Path) -> Iterator[Make]:
    made: list[RayExecutor] = []

    def executor(
        workers: int | None = None, on_report: Callable[[StepReport], None] = lambda _: None, **config: object
    ) -> RayExecutor:
        engine = RayConfig(address="auto", **config)  # type: ignore[arg-type]
        made.append(RayExecutor(engine, workers, tmp_path, on_report))
        return made[-1]

    yield executor
    for one in made:
        one.abort()


def ray_workers() -> list[int]:
    """Processes that are training a job."""
    return [
        p.pid for p in psutil.process_iter(["cmdline"]) if "ray::_train" in " ".join(p.info["cmdline"] or [])
    ]


def test_jobs_give_their_records_in_order_and_reports_on_the_way(make: Make, ray_cluster: str) -> None:
    reports: list[StepReport] = []
    executor = make(1, reports.append)
    slow = job(train="slow_trainer:train")
    records = executor.submit(slow).result(120)
    assert [r.run_id for r in records] == [run.run_id for run in slow.runs]
    assert [r.loss for r in records] == [fake_trainer.loss(run) for run in slow.runs]
    until(lambda: bool(reports))
    assert all(len(report.losses) == 2 and report.stack_id == slow.stack_id for report in reports)


def test_a_fault_in_training_is_one_line_and_a_mistake_of_the_user_s_is_told_as_such(make: Make) -> None:
    executor = make()
    with pytest.raises(JobFailedError, match=r"^RuntimeError: a fault on purpose$"):
        executor.submit(job(train="slow_trainer:fail")).result(60)
    with pytest.raises(HPTransferError, match="there must be text"):
        executor.submit(job(train="slow_trainer:refuse")).result(60)


def test_a_killed_ray_worker_is_told_and_the_job_can_be_submitted_again(make: Make) -> None:
    executor = make(1)
    future = executor.submit(job(train="slow_trainer:forever"))
    until(lambda: bool(ray_workers()), 60)
    os.kill(ray_workers()[0], signal.SIGKILL)
    with pytest.raises(WorkerDiedError, match="a Ray worker ended"):
        future.result(60)
    assert len(executor.submit(job()).result(60)) == 2


def test_abort_ends_running_tasks_and_cancels_waiting_ones(make: Make) -> None:
    executor = make(1)
    running = executor.submit(job(128, train="slow_trainer:forever"))
    waiting = executor.submit(job(32))
    until(lambda: bool(ray_workers()), 60)
    executor.abort()
    with pytest.raises(WorkerDiedError):
        running.result(60)
    with pytest.raises(CancelledError):
        waiting.result(5)
    until(lambda: not ray_workers(), 30)
    with pytest.raises(RuntimeError, match="shutdown"):
        executor.submit(job())


def test_a_worker_on_another_version_is_refused_before_it_trains(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = make()
    monkeypatch.setattr(run_job_module, "__version__", "99.0")  # of this driver alone
    with pytest.raises(HPTransferError, match=r"driver's hptransfer 99\.0, but the one on .* runs "):
        executor.submit(job(train="slow_trainer:forever")).result(60)


def test_room_that_no_node_has_is_refused(make: Make) -> None:
    for config, part in (
        ({"cpus": 64}, "cpus=64"),
        ({"gpus": 8}, "gpus=8"),
        ({"memory_gb": 9e6}, "memory_gb=9"),
    ):
        with pytest.raises(ExecutorError, match=f"room for a stack of .*{part}"):
            make(**config)


def test_a_study_on_ray_ends_as_on_this_machine_though_a_worker_is_killed(
    undisturbed: StudyResult, tmp_path: Path, ray_cluster: str
) -> None:
    killed: list[int] = []

    def kill_one() -> None:
        until(lambda: bool(ray_workers()), 60)
        killed.extend(ray_workers()[:1])
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill_one)
    killer.start()
    spec = study(executor={"kind": "ray", "address": "auto"})
    result = run_study(spec, tmp_path, train="slow_trainer:train")
    killer.join()
    assert len(killed) == 1
    assert result.failures == ()
    assert without_wall_times(result.csv) == without_wall_times(undisturbed.csv)
    assert not list((tmp_path / "spool").glob("*.done"))
