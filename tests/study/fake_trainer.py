"""A trainer that takes no torch and next to no time: the loss is a formula, the faults are on purpose.

Workers import it by name, so it lives in a module of its own. What it does besides is told by the
environment: FAKE_STEP_S (seconds a step), FAKE_FAULTS (a folder where faults are armed, see `arm`).
"""

from __future__ import annotations

import hashlib
import math
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from hptransfer.errors import DataError
from hptransfer.runs.config import RunRecord, RunSpec

NAME = "fake_trainer:train"
OPTIMUM = -6.0  # log2 of the best LR in muP coordinates


def train(
    runs: Sequence[RunSpec],
    *,
    compiled: bool,
    on_step: Callable[[int, Sequence[float]], None] | None = None,
) -> list[RunRecord]:
    _count_call(runs)
    _fault(runs)
    delay = float(os.environ.get("FAKE_STEP_S", "0"))
    started = time.monotonic()
    for step in range(runs[0].train.steps):
        time.sleep(delay)
        if on_step is not None:
            on_step(step, [loss(run) for run in runs])
    share = (time.monotonic() - started) / len(runs)
    return [_record(run, share) for run in runs]


def loss(run: RunSpec) -> float:
    """A basin with a cliff on its right; the noise is a function of the run."""
    ratio = run.model.width / run.base_width
    x = math.log2(run.lr * ratio) - OPTIMUM
    if x > 3:
        return math.nan
    noise = int(hashlib.sha256(run.run_id.encode()).hexdigest()[:8], 16) / 2**32
    return 3.0 + 10.0 / run.model.width + 0.02 * x**2 + 0.002 * x**3 + 0.001 * noise


def arm(folder: Path, fault: str, times: int, width: int) -> None:
    """From now on the next `times` stacks of a width meet a fault: `kill`, `raise` or `refuse`."""
    for number in range(times):
        (folder / f"{fault}-{width}-{number}").touch()


def calls(folder: Path) -> list[str]:
    """Run ids that training was begun for, in no order, once for every time."""
    return [line for file in folder.glob("call-*") for line in file.read_text().split()]


def _record(run: RunSpec, wall_s: float) -> RunRecord:
    value = loss(run)
    diverged = math.isnan(value)
    return RunRecord(
        run_id=run.run_id,
        status="diverged" if diverged else "done",
        loss=value,
        initial_loss=7.0,
        curve=((1, 7.0), (run.train.steps, value)),
        diverged_step=2 if diverged else None,
        tokens=run.tokens,
        params=12 * run.model.depth * run.model.width**2,
        flops=1.0,
        wall_s=wall_s,
        engine={"stack": 1},
        versions={"fake": "1"},
    )


def _folder() -> Path | None:
    name = os.environ.get("FAKE_FAULTS")
    return Path(name) if name else None


def _count_call(runs: Sequence[RunSpec]) -> None:
    if folder := _folder():
        text = "".join(f"{run.run_id}\n" for run in runs)
        (folder / f"call-{os.getpid()}-{time.monotonic_ns()}").write_text(text)


def _fault(runs: Sequence[RunSpec]) -> None:
    folder = _folder()
    for armed in sorted(folder.glob(f"*-{runs[0].model.width}-*")) if folder else ():
        if armed.name.startswith("call"):
            continue
        try:
            armed.unlink()
        except FileNotFoundError:  # another worker met it
            continue
        fault = armed.name.partition("-")[0]
        if fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if fault == "refuse":
            raise DataError("there must be text, but there is none")
        raise RuntimeError("a fault\non purpose")


def show_threads(runs: Sequence[RunSpec], *, compiled: bool, on_step: object = None) -> list[RunRecord]:
    print("threads", os.environ["OMP_NUM_THREADS"], os.environ["MKL_NUM_THREADS"], flush=True)
    return []
