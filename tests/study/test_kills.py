"""A driver killed, interrupted or doubled, in processes of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import fake_trainer
import psutil
import pytest
from small_study import study, without_wall_times

from hptransfer.study.run import StudyResult, load_result, run_study

KILL_STUDY = Path(__file__).parents[2] / "benchmarks" / "kill_study.py"
KILL_LOOP = Path(__file__).parents[2] / "benchmarks" / "kill_loop.py"
SPEC = """
name: small
variants: [sp, mup]
widths: [32, 64]
lr: {low: 2^-12, high: 2^-7}
train: {steps: 10}
workers: 2
"""
DRIVE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell ignores it
from hptransfer.errors import HPTransferError
from hptransfer.study.run import StudyInterrupted, run_study
from hptransfer.study.spec import load_study
try:
    run_study(load_study(sys.argv[1]), sys.argv[2], train="fake_trainer:train")
except StudyInterrupted as stopped:
    print(stopped)
    sys.exit(130)
except HPTransferError as error:
    print(f"error: {error}")
    sys.exit(2)
"""


@pytest.fixture
def environment(faults: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
        "FAKE_STEP_S": "0.04",
    }


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SPEC)
    return path


def drive(spec: Path, out: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", DRIVE, str(spec), str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )


def wait_for_runs(out: Path, least: int) -> None:
    """Until that many runs are in the store."""
    from hptransfer.errors import HPTransferError

    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if len(load_result(out).rows) >= least:
                return
        except HPTransferError:  # not yet
            pass
        time.sleep(0.02)
    raise TimeoutError(f"{out} never had {least} runs")


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_same_table(
    spec: Path, tmp_path: Path, faults: Path, environment: dict[str, str]
) -> None:
    command = [sys.executable, str(KILL_STUDY), str(spec), "--kills", "6", "--folder", str(tmp_path / "two")]
    done = subprocess.run(
        [*command, "--train", fake_trainer.NAME], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "agrees byte for byte, 0 faults" in done.stdout
    assert done.stdout.count(": killed ") >= 3


@pytest.mark.slow
def test_kills_at_random_instants_end_with_the_undisturbed_table() -> None:
    """40 of them; 200 are the benchmark's."""
    command = [sys.executable, str(KILL_LOOP), "--kills", "40"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "agrees byte for byte" in done.stdout
    assert "0 finished runs lost, changed or begun again" in done.stdout
    assert done.stdout.startswith("40 drivers killed")


def test_a_kill_repeats_at_most_the_stacks_in_flight(
    undisturbed: StudyResult, spec: Path, tmp_path: Path, faults: Path, environment: dict[str, str]
) -> None:
    with drive(spec, tmp_path / "out", environment) as driver:
        wait_for_runs(tmp_path / "out", 6)
        workers = psutil.Process(driver.pid).children()
        driver.kill()
    kept = {str(row["run_id"]) for row in load_result(tmp_path / "out").rows}
    assert not psutil.wait_procs(workers, timeout=20)[1]
    result = run_study(study(), tmp_path / "out", train=fake_trainer.NAME)
    assert without_wall_times(result.csv) == without_wall_times(undisturbed.csv)
    calls = Counter(fake_trainer.calls(faults))
    assert all(calls[run_id] == 1 for run_id in kept)
    assert sum(calls.values()) - len(calls) <= 2 * 6  # workers x members


def test_ctrl_c_says_what_is_kept_and_a_second_start_goes_on(
    undisturbed: StudyResult, spec: Path, tmp_path: Path, faults: Path, environment: dict[str, str]
) -> None:
    slowly = {**environment, "FAKE_STEP_S": "0.2"}  # so that it is not at its end when the signal arrives
    with drive(spec, tmp_path / "out", slowly) as driver:
        wait_for_runs(tmp_path / "out", 6)
        workers = psutil.Process(driver.pid).children()
        driver.send_signal(signal.SIGINT)
        text, _ = driver.communicate(timeout=30)
    assert driver.returncode == 130
    assert text.startswith("stopped: ")
    assert len(text.splitlines()) == 1
    assert not psutil.wait_procs(workers, timeout=20)[1]
    assert len(without_wall_times(tmp_path / "out" / "runs.csv")) > 6
    result = run_study(study(), tmp_path / "out", train=fake_trainer.NAME)
    assert without_wall_times(result.csv) == without_wall_times(undisturbed.csv)
    assert set(Counter(fake_trainer.calls(faults)).values()) <= {1, 2}


def test_a_second_driver_is_refused_in_one_line(
    spec: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    out, slow = tmp_path / "out", {**environment, "FAKE_STEP_S": "2"}
    with drive(spec, out, slow) as first:
        while not (out / "study.sqlite").exists():
            time.sleep(0.02)
        with drive(spec, out, slow) as second:
            text, _ = second.communicate(timeout=60)
        first.kill()
    assert second.returncode == 2
    refusal = f"a study must have one driver, but process {first.pid} is running the one in {out}"
    assert text == f"error: {refusal}: wait for it, or end it\n"
