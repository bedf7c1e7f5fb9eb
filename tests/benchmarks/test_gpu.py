"""The GPU command on a CPU: parts are bounded, tables stay, and a second call resumes."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch")

from hptransfer.study.record_table import read_records

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), "--device", "cpu"]
SPEC = """
name: tiny
variants: [sp, mup]
widths: [16, 32]
lr: {low: 2^-8, high: 2^-5, coordinates: mup, extend: 0}
model: {depth: 1, heads: 2, context: 16, vocab: 2048}
data: {source: bin, files: benchmarks/tokens/stdlib_2048.bin}
train: {steps: 20, batch_size: 4}
workers: 1
"""
RUNS = 16  # of that study


@pytest.fixture(scope="module")
def gpu() -> Iterator[object]:
    """The command's module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        import gpu

        yield gpu


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(SPEC)
    return path


def call(*words: object, **options: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*COMMAND, *map(str, words)], capture_output=True, text=True, timeout=300, env=environment, **options
    )


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def until(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_part_over_its_time_is_ended_with_all_that_it_started(gpu, tmp_path: Path) -> None:
    script = (
        "import subprocess, sys, signal, time\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"  # it does not end when asked to
        "child = subprocess.Popen(['sleep', '600'])\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n"
        "print('begun', flush=True)\n"
        "time.sleep(600)\n"
    )
    part = gpu.run_part("slow", [sys.executable, "-c", script], 2.0, tmp_path)
    assert (part.part, part.outcome, part.limit_s) == ("slow", "out of time", 2.0)
    until(lambda: not alive(int((tmp_path / "pid").read_text())), 10.0)
    assert "===== slow\nbegun" in (tmp_path / "log.txt").read_text()


def test_a_part_that_ends_says_how_and_is_looked_at(gpu, tmp_path: Path) -> None:
    looks: list[int] = []
    for code, outcome in ((0, "done"), (3, "failed")):
        call = [sys.executable, "-c", f"raise SystemExit({code})"]
        assert gpu.run_part("quick", call, 60.0, tmp_path, lambda: looks.append(1)).outcome == outcome
    assert len(looks) >= 2


def test_the_parts_after_one_that_is_over_its_time_go_on(
    gpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: Path
) -> None:
    calls = {"machine": "import time; time.sleep(600)", "tests": "print('tests ran')"}
    monkeypatch.setattr(gpu, "command", lambda name, *_: [sys.executable, "-c", calls[name]])
    words = [
        "gpu.py",
        "--device",
        "cpu",
        "--minutes",
        "0.2",
        "--out",
        str(tmp_path / "out"),
        "--spec",
        str(spec),
    ]
    monkeypatch.setattr(sys, "argv", [*words, "--parts", "machine,tests"])
    monkeypatch.setattr(os, "environ", dict(os.environ))
    assert gpu.main() == 0
    outcomes = {row["part"]: row["outcome"] for row in rows(tmp_path / "out" / "parts.csv")}
    assert outcomes == {"machine": "out of time", "tests": "done"}
    assert "tests ran" in (tmp_path / "out" / "log.txt").read_text()


def test_a_log_that_grows_too_long_keeps_its_end(
    gpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "LOG_BYTES", 100)
    gpu.run_part("loud", [sys.executable, "-c", "print('x' * 500); print('the end')"], 60.0, tmp_path)
    text = (tmp_path / "log.txt").read_text()
    assert len(text) == 100
    assert text.endswith("the end\n")


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--minutes", "1", "--parts", "dance"], "every part must be one of machine, tests"),
        (["--minutes", "0"], "--minutes must be positive"),
        (["--minutes", "1", "--tokens", "nowhere.bin"], "--tokens must be a file"),
        (["--minutes", "1", "--spec", "nowhere.yaml"], "--spec must be a file"),
        (["--minutes", "1", "--wheels", "."], "--wheels must be a folder with .whl files"),
    ],
)
def test_what_cannot_begin_is_one_line(words: list[str], part: str, tmp_path: Path) -> None:
    done = call("--out", tmp_path / "out", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert part in done.stderr
    assert done.stderr.count("\n") == 1


def test_wheels_are_unpacked_for_this_call(gpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wheels").mkdir()
    with zipfile.ZipFile(tmp_path / "wheels" / "travelled-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("travelled.py", "ANSWER = 42\n")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("PYTHONPATH", "before")
    gpu.unpack(tmp_path / "wheels", tmp_path / "packages")
    import travelled

    assert travelled.ANSWER == 42
    assert os.environ["PYTHONPATH"].split(os.pathsep) == [str(tmp_path / "packages"), "before"]


def test_a_compiled_step_that_failed_its_test_is_not_used(gpu, tmp_path: Path) -> None:
    from gpu_parts import compiled_wrong

    table = tmp_path / "tests.csv"
    assert not compiled_wrong(table)
    table.write_text("test,outcome,seconds,message\ntest_a[compiled],passed,1,\ntest_b[eager],failed,1,no\n")
    assert not compiled_wrong(table)
    table.write_text(table.read_text() + "test_b[compiled],failed,1,no\n")
    assert compiled_wrong(table)


@pytest.mark.slow
def test_a_study_that_is_killed_leaves_what_was_finished_and_is_resumed(spec: Path, tmp_path: Path) -> None:
    slower = SPEC.replace("steps: 20", "steps: 400")
    spec.write_text(slower)
    first, second = tmp_path / "first", tmp_path / "second"
    words = ["--minutes", "4", "--parts", "study", "--spec", str(spec)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*COMMAND, *words, "--out", str(first)], env=environment, start_new_session=True
    )
    table = first / "study.records.csv.gz"
    try:
        until(table.exists)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    found = read_records(table)
    assert 0 < len(found) < RUNS
    done = call(*words, "--out", second, "--resume", first)
    assert done.returncode == 0, done.stdout + done.stderr
    log = (second / "log.txt").read_text()
    assert f"Added(taken={len([r for r in found if r.run.model.width in (16, 32)])}," in log
    whole = read_records(second / "study.records.csv.gz")
    assert len(whole) == RUNS
    kept = {row.record.run_id: repr(row.record) for row in whole}
    assert all(kept[row.record.run_id] == repr(row.record) for row in found)


@pytest.mark.slow
def test_the_whole_command_on_a_cpu(spec: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = call("--minutes", "4", "--out", out, "--spec", spec)
    assert done.returncode == 0, done.stdout + done.stderr
    parts = rows(out / "parts.csv")
    assert [row["part"] for row in parts] == ["machine", "tests", "throughput", "study"]
    assert parts[3]["outcome"] == "done", (out / "log.txt").read_text()[-3000:]
    assert {row["fact"]: row["value"] for row in rows(out / "machine.csv")}["torch"]
    assert {row["outcome"] for row in rows(out / "tests.csv")} <= {"passed", "skipped"}
    if (out / "throughput.csv").exists():  # on a busy machine its time may be over first
        assert all(row["loss_agrees"] == "True" for row in rows(out / "throughput.csv"))
    assert len(read_records(out / "study.records.csv.gz")) == RUNS
    assert sum(path.stat().st_size for path in out.iterdir()) < 16 << 20
    assert len(list(out.iterdir())) <= 8
