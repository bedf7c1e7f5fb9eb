"""How a study's wall time falls with workers: 1 and 2 on Ray, and 1,000 simulated ones that fail or are slow.

    python benchmarks/scaling.py [--steps 60] [--workers 1000] [--stacks 20000]

Ray: a small study of the reference model, trained with one and with two workers of one core each; starting
Ray is included. Simulated: the real driver, planner and store; only the workers are replaced by timers. A
stack takes a random time (log-normal, mean ten seconds); 2% of the stacks lose their worker half-way, 1% take
four times as long. Finished work over ideal is the sum of the useful worker seconds over workers x wall time;
beside it stands the value of the same random times without a driver, first come, first served.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
import tempfile
import threading
import time
from concurrent.futures import Future
from pathlib import Path

from hptransfer.runs.config import RunRecord
from hptransfer.study.run import run_study
from hptransfer.study.spec import StudySpec, parse_study
from hptransfer.workers.executor import Job, OnReport, WorkerDiedError

FAIL, STRAGGLE, SLOWER = 0.02, 0.01, 4.0  # shares of the stacks, and how much longer a straggler takes


class Simulated:
    """Workers that are timers."""

    def __init__(self, workers: int, mean: float, seed: int) -> None:
        self.made = time.monotonic()
        self.useful = 0.0  # seconds of worker time that ended in a result
        self.lost = 0  # tries that ended with their worker
        self._mean = mean
        self._draw = random.Random(seed)
        self._free = workers
        self._waiting: list[tuple[Job, Future[list[RunRecord]]]] = []
        self._ends: list[tuple[float, int, float, bool, Job, Future[list[RunRecord]]]] = []
        self._turn = threading.Condition()
        self._count = 0
        self._over = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def submit(self, job: Job, /) -> Future[list[RunRecord]]:
        """Queue a job."""
        future: Future[list[RunRecord]] = Future()
        with self._turn:
            self._waiting.append((job, future))
            self._turn.notify()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        """Stop."""
        with self._turn:
            self._over = True
            self._turn.notify()
        self._thread.join()
        self.ended = time.monotonic()

    def abort(self) -> None:
        """Stop."""
        self.shutdown()

    def _run(self) -> None:
        while True:
            with self._turn:
                self._begin()
                pause = max(0.0, self._ends[0][0] - time.monotonic()) if self._ends else None
                if self._over:
                    return
                if pause is None or pause > 0:
                    self._turn.wait(pause)
                    continue
                _, _, seconds, dies, job, future = heapq.heappop(self._ends)
                self._free += 1
            self._end(seconds, dies, job, future)

    def _begin(self) -> None:
        while self._waiting and self._free:
            job, future = self._waiting.pop(0)
            self._free -= 1
            seconds = self._mean * self._draw.lognormvariate(-0.125, 0.5)
            seconds *= SLOWER if self._draw.random() < STRAGGLE else 1.0
            dies = self._draw.random() < FAIL
            self._count += 1
            end = time.monotonic() + (seconds / 2 if dies else seconds)
            heapq.heappush(self._ends, (end, self._count, seconds, dies, job, future))

    def _end(self, seconds: float, dies: bool, job: Job, future: Future[list[RunRecord]]) -> None:
        if dies:
            self.lost += 1
            future.set_exception(WorkerDiedError("a simulated worker ended"))
            return
        self.useful += seconds
        future.set_result([RunRecord(run.run_id, "done", 3.0, wall_s=seconds) for run in job.runs])


def first_come(workers: int, stacks: int, mean: float) -> float:
    """Finished work over ideal of the same draws where handing out and taking in cost no time."""
    draw, free, left = random.Random(0), [0.0] * workers, stacks
    useful = end = 0.0
    while left:
        seconds = mean * draw.lognormvariate(-0.125, 0.5)
        seconds *= SLOWER if draw.random() < STRAGGLE else 1.0
        dies = draw.random() < FAIL
        done = heapq.heappop(free) + (seconds / 2 if dies else seconds)
        heapq.heappush(free, done)
        end = max(end, done)
        if not dies:
            useful, left = useful + seconds, left - 1
    return useful / workers / end


def simulated(workers: int, stacks: int, mean: float) -> None:
    """Run a study of so many stacks on simulated workers."""
    widths = [32, 64, 128, 256]
    seeds = math.ceil(stacks / (len(widths) * 16))
    spec = parse_study(
        {
            "name": "simulated",
            "variants": ["sp"],
            "widths": widths,
            "lr": {"low": "2^-17", "high": "2^-2", "extend": 0},
            "seeds": list(range(seeds)),
            "stack": 1,
            "workers": workers,
            "trial": {"backoff": 0.1, "retries": 10},
        }
    )
    made: list[Simulated] = []

    def make(_: OnReport) -> Simulated:
        made.append(Simulated(workers, mean, seed=0))
        return made[0]

    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        result = run_study(spec, Path(folder), train="none:none", executor=make)
    engine = made[0]
    wall = engine.ended - engine.made
    print(f"planned in {engine.made - begun:.1f} s")
    alone = first_come(workers, result.trained, mean)
    print(
        f"{workers} workers, {result.trained} stacks of {engine.useful / result.trained:.2f} s, "
        f"{engine.lost} lost and tried again: {wall:.1f} s from the first submission; finished work over "
        f"ideal {engine.useful / workers / wall:.3f}; with no driver {alone:.3f}"
    )


def on_ray(steps: int) -> None:
    """A small study with one and with two Ray workers."""
    walls = {}
    for workers in (1, 2):
        spec = _small(steps, workers)
        with tempfile.TemporaryDirectory() as folder:
            started = time.monotonic()
            result = run_study(spec, Path(folder))
            walls[workers] = time.monotonic() - started
            busy = sum(float(row["wall_s"] or 0) for row in result.rows)
        print(
            f"Ray, {workers} at a time: {walls[workers]:.1f} s for {len(result.rows)} runs, {busy:.1f} s "
            "of them training",
            flush=True,
        )
    print(f"two workers are {walls[1] / walls[2]:.2f} times as fast as one, starting Ray included")


def _small(steps: int, workers: int) -> StudySpec:
    return parse_study(
        {
            "name": "scaling",
            "variants": ["sp", "mup"],
            "widths": [32, 64],
            "lr": {"low": "2^-9", "high": "2^-2", "extend": 0},
            "stack": 4,
            "workers": workers,
            "compile": "never",
            "train": {"steps": steps},
            "executor": {"kind": "ray"},
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--steps", type=int, default=60, help="of a run on Ray; 0 leaves Ray out")
    parser.add_argument("--workers", type=int, default=1000, help="simulated")
    parser.add_argument("--stacks", type=int, default=20_000, help="of the simulated study")
    parser.add_argument("--mean", type=float, default=10.0, help="seconds of a simulated stack")
    options = parser.parse_args()
    if options.steps:
        on_ray(options.steps)
    simulated(options.workers, options.stacks, options.mean)


if __name__ == "__main__":
    main()
