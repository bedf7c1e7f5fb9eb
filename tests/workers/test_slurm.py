"""Jobs on a real one-node Slurm."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fake_trainer
import pytest
from rich.console import Console
from small_study import study, without_wall_times
from tests.workers.test_local import job, until

from hptransfer.errors import ExecutorError, HPTransferError, SpecError
from hptransfer.study.run import StudyResult, run_study
from hptransfer.study.spec import StudySpec
from hptransfer.workers import run_job as run_job_module
from hptransfer.workers.slurm import SlurmExecutor
from hptransfer.workers.slurm_queue import Queue, SlurmConfig

pytestmark = pytest.mark.usefixtures("slurm")

GRID = {"low": "2^-8", "high": "2^-5", "extend": 0}
DRIVE = """
import sys
import threading
from small_study import study
from test_slurm import engine
from hptransfer.study.run import run_study
run_study(study(executor=engine(), widths=[32]), sys.argv[1], train="fake_trainer:train")
"""


def engine(**more: Any) -> dict[str, Any]:
    return {"kind": "slurm", "poll": 0.5, "memory_gb": 0.3, "minutes": 5, **more}


def small(**changes: Any) -> StudySpec:
    return study(executor=engine(), **changes)


@pytest.fixture(autouse=True)
def _clean(tmp_path: Path) -> Iterator[None]:
    yield
    for array in (tmp_path / "out" / "spool" / "arrays").glob("*"):
        subprocess.run(["scancel", "--signal=KILL", "--name", array.name], check=False)
        subprocess.run(["scancel", "--name", array.name], check=False)


def tasks(folder: Path) -> dict[str, tuple[str, str]]:
    """State and job id of every task of a study, by stack."""
    arrays = {path.name: json.loads(path.read_text()) for path in (folder / "spool" / "arrays").glob("*")}
    states = Queue().states(arrays) if arrays else {}
    return {arrays[name][index]: (state.name, state.job) for (name, index), state in states.items()}


def test_a_study_on_slurm_ends_as_on_this_machine_and_leaves_an_empty_spool(
    undisturbed: StudyResult, tmp_path: Path, faults: Path
) -> None:
    result = run_study(small(), tmp_path / "out", train=fake_trainer.NAME)
    assert result.failures == ()
    assert without_wall_times(result.csv) == without_wall_times(undisturbed.csv)
    assert set(Counter(fake_trainer.calls(faults)).values()) == {1}
    assert [p.name for p in (tmp_path / "out" / "spool").iterdir()] == ["arrays"]
    scripts = (tmp_path / "out" / "logs" / "slurm").glob("*_submission.sh")
    script = next(text for path in scripts if "--array" in (text := path.read_text()))
    for line in (
        "--array=0-3",
        "--requeue",
        "--time=5",
        "--mem=307M",
        "--cpus-per-task=1",
        "--signal=USR2@90",
    ):
        assert f"#SBATCH {line}" in script


def test_a_driver_that_dies_finds_its_jobs_again_finished_or_running(
    undisturbed: StudyResult, tmp_path: Path, faults: Path
) -> None:
    out = tmp_path / "out"
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "study")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([*paths, *sys.path]),
        "FAKE_STEP_S": "0.8",
    }
    with subprocess.Popen([sys.executable, "-c", DRIVE, str(out)], env=environment) as driver:
        until(lambda: any(state == "RUNNING" for state, _ in tasks(out).values()), 60)
        driver.kill()
    before = tasks(out)
    assert before
    result = run_study(small(widths=[32]), out, train=fake_trainer.NAME)
    assert result.failures == ()
    expected = [line for line in without_wall_times(undisturbed.csv) if ",64," not in line]
    assert [line.split(",")[:3] for line in without_wall_times(result.csv)] == [
        x.split(",")[:3] for x in expected
    ]
    assert set(Counter(fake_trainer.calls(faults)).values()) == {1}  # none lost, none run twice


def test_a_task_that_is_cancelled_is_told_and_tried_again(tmp_path: Path, faults: Path) -> None:
    out, cancelled = tmp_path / "out", []
    os.environ["FAKE_STEP_S"] = "0.3"

    def cancel() -> None:
        def running() -> list[str]:
            return [job for state, job in tasks(out).values() if state == "RUNNING"]

        until(lambda: bool(running()), 60)
        cancelled.append(running()[0])
        subprocess.run(["scancel", cancelled[0]], check=True)

    console = Console(file=io.StringIO(), width=60)
    killer = threading.Thread(target=cancel)
    killer.start()
    try:
        spec = small(widths=[32], variants=["sp"], lr=GRID)
        result = run_study(spec, out, train=fake_trainer.NAME, console=console)
    finally:
        del os.environ["FAKE_STEP_S"]
    killer.join()
    assert len(cancelled) == 1
    assert result.failures == ()
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert (
        f"A run failed and will be tried again: Slurm job {cancelled[0]} ended as CANCELLED without a result"
        in text
    )
    assert max(Counter(fake_trainer.calls(faults)).values()) <= 2


def test_a_task_that_is_preempted_is_queued_again_by_itself(tmp_path: Path, faults: Path) -> None:
    """As Slurm tells a job that it is to make room, 90 s before it must."""
    executor = SlurmExecutor(SlurmConfig(**engine()), None, tmp_path / "out", lambda _: None)
    os.environ["FAKE_STEP_S"] = "0.2"
    try:
        one = job(folder=str(tmp_path / "out"))
        future = executor.submit(one)
        until(lambda: tasks(tmp_path / "out").get(one.stack_id, ("",))[0] == "RUNNING", 60)
        until(lambda: bool(list(faults.glob("call-*"))), 60)
        _, number = tasks(tmp_path / "out")[one.stack_id]
        subprocess.run(["scancel", "--signal=USR2", number], check=True)
        until(lambda: tasks(tmp_path / "out")[one.stack_id][0] == "PENDING", 60)
        # Slurm lets a job that was queued again wait for two minutes; not in a test.
        subprocess.run(["scontrol", "update", f"jobid={number}", "StartTime=now"], check=True)
        assert len(future.result(90)) == 2
    finally:
        del os.environ["FAKE_STEP_S"]
        executor.abort()
    assert set(Counter(fake_trainer.calls(faults)).values()) == {2}


def test_faults_and_mistakes_come_back_and_a_worker_on_another_version_is_refused(
    tmp_path: Path, faults: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_trainer.arm(faults, "raise", 1, 32)
    result = run_study(
        small(widths=[32], variants=["sp"], lr=GRID), tmp_path / "out", train=fake_trainer.NAME
    )
    assert result.failures == ()
    monkeypatch.setattr(run_job_module, "__version__", "99.0")  # of this driver alone
    with pytest.raises(HPTransferError, match=r"driver's hptransfer 99\.0, but the one on "):
        run_study(small(widths=[64], variants=["sp"], lr=GRID), tmp_path / "out", train=fake_trainer.NAME)
    monkeypatch.undo()
    monkeypatch.setenv("FAKE_FAULTS", str(faults))
    assert (
        run_study(
            small(widths=[64], variants=["sp"], lr=GRID), tmp_path / "out", train=fake_trainer.NAME
        ).trained
        == 4
    )


def test_what_slurm_refuses_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ExecutorError, match=r"sbatch said: .*partition"):
        run_study(study(executor=engine(partition="no-such")), tmp_path / "out", train=fake_trainer.NAME)


@pytest.mark.parametrize("value", ["gpu\n#SBATCH --wrap=x", "a b", "$(id)", "`id`", "'x'"])
def test_nothing_that_could_run_gets_into_a_batch_script(value: str) -> None:
    for more in ({"partition": value}, {"sbatch": {"constraint": value}}, {"sbatch": {value: "1"}}):
        with pytest.raises(SpecError, match="batch script"):
            study(executor=engine(**more))
