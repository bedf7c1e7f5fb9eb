"""The overhead of a study over training, and the time to open, load and report a store of 100,000 runs.

    python benchmarks/overhead.py [--runs 100000] [--seconds 5] [--report]

Overhead of a run: a study of a command and one of the reference model, whose training is replaced by a wait,
one run per stack, one worker; wall time from the start of the first run, over the time waited. Target: under
2% at 5 s. The store is filled by this script, with curves of 100 points. Targets: open under 2 s, load into a
SweepTable within 1 GB, report within 10 s.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from hptransfer.runs.config import RunRecord, RunSpec
from hptransfer.study.run import run_study
from hptransfer.study.spec import StudySpec, parse_study
from hptransfer.study.store import Store
from hptransfer.study.store_schema import Place

NAME = "overhead:wait"  # of the trainer below, for workers
LOAD = """
import json, resource, sys, time
from hptransfer.study import run, store
import pandas
start = time.perf_counter()
result = run.load_result(sys.argv[1])
print(json.dumps({"seconds": time.perf_counter() - start, "runs": len(result.sweep),
                  "gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}))
"""


def wait(runs: Sequence[RunSpec], *, on_step: Callable[..., None], **_: object) -> list[RunRecord]:
    """Train by waiting, reporting a hundred times, and say how long that took."""
    started = time.monotonic()
    pause = float(os.environ["WAIT_S"]) / 100
    for step in range(100):
        time.sleep(pause)
        on_step(step, [3.0] * len(runs))
    share = (time.monotonic() - started) / len(runs)
    curve = tuple((step, 3.0) for step in range(100))
    return [RunRecord(run.run_id, "done", 3.0, curve=curve, wall_s=share) for run in runs]


def cost_of_a_run(seconds: float, runs: int, command: bool) -> float:
    """Share of a run's training that is spent beside it, worker's start apart."""
    os.environ["WAIT_S"] = str(seconds)
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)
    sys.path.insert(0, str(Path(__file__).parent))
    call = {"kind": "command", "command": ["sh", "-c", f"sleep {seconds}; echo '{{{{\"loss\": 1}}}}'"]}
    spec = parse_study(
        {
            "name": "overhead",
            "variants": ["sp"],
            "widths": [32],
            "lr": {"low": 2.0**-runs, "high": 0.5, "extend": 0},
            "stack": 1,
            "workers": 1,
            **({"trial": call} if command else {}),
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        one = spec.model_copy(update={"lr": spec.lr.model_copy(update={"high": 2.0 ** (1 - runs)})})
        started = time.monotonic()
        run_study(one, Path(folder) / "one", train=NAME)  # the same with two runs: start and end
        short = time.monotonic() - started
        started = time.monotonic()
        run_study(spec, Path(folder) / "all", train=NAME)
        long = time.monotonic() - started
    return (long - short) / ((spec.lr.count - one.lr.count) * seconds) - 1


def fill(folder: Path, runs: int) -> StudySpec:
    """A store with so many runs: 16 variants, 5 widths, a grid and as many seeds as it takes."""
    variants = ["sp", "sp+embd", "sp+ln", "sp+attn", "sp+last", "mup", "mup-embd", "mup-ln", "mup-attn"]
    variants += ["mup-last", "sp+embd+ln", "sp+embd+attn", "sp+ln+attn", "sp+ln+last", "sp+attn+last"]
    widths, count = [128, 256, 512, 1024, 2048], 17
    seeds = math.ceil(runs / (len(variants) * len(widths) * count))
    spec = parse_study(
        {
            "name": "large",
            "variants": variants,
            "widths": widths,
            "lr": {"low": "2^-14", "high": "2^2", "extend": 0},
            "seeds": list(range(seeds)),
            "targets": [8192],
        }
    )
    with Store(folder) as store:
        store.begin(spec, {"commit": None})
        for number, variant in enumerate(spec.variants_with_decay()):
            for width in widths:
                template = spec.run(variant, width, 0, 0)
                pairs, members = [], []
                for index in range(count):
                    lr = spec.lr_at(index, width, "sp")
                    for seed in spec.seeds:
                        run = template.model_copy(update={"lr": lr, "seed": seed, "data_seed": seed})
                        pairs.append((run, _record(run, number, index, seed)))
                        members.append(
                            Place(run.run_id, variant, 0, width, lr, lr * width / 128, seed, seed, 0.0)
                        )
                store.add(f"{variant}-{width}", pairs, members)
    return spec


def _record(run: RunSpec, variant: int, index: int, seed: int) -> RunRecord:
    x = index - 8 + variant / 8
    loss = 3 + 8 / math.sqrt(run.model.width) + 0.02 * x * x + 0.001 * math.sin(1e4 * (seed + 7 * index))
    curve = tuple((step, loss + 3 / (1 + step)) for step in range(100))
    return RunRecord(
        run.run_id, "done", loss, initial_loss=7.0, curve=curve, params=1, flops=1e12, wall_s=1.0
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="of a run's training; 0 leaves this part out"
    )
    parser.add_argument("--count", type=int, default=8, help="runs timed, beyond two that are taken off")
    parser.add_argument("--report", action="store_true", help="also the whole of `hptransfer report`")
    options = parser.parse_args()
    for kind, command in (("built-in", False), ("command", True)) if options.seconds else ():
        share = cost_of_a_run(options.seconds, options.count + 2, command)
        print(f"cost beside training, {kind:8}: {share:6.2%} of a run of {options.seconds:g} s", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "large"
        started = time.perf_counter()
        fill(folder, options.runs)
        size = (folder / "study.sqlite").stat().st_size / 2**20
        print(f"filled in {time.perf_counter() - started:.1f} s: {size:.0f} MB", flush=True)
        started = time.perf_counter()
        with Store(folder):
            print(f"opened for writing in {time.perf_counter() - started:.2f} s", flush=True)
        done = subprocess.run(
            [sys.executable, "-c", LOAD, str(folder)], capture_output=True, text=True, check=True
        )
        found = json.loads(done.stdout)
        print(
            f"{found['runs']} runs as a SweepTable in {found['seconds']:.2f} s, {found['gb']:.2f} GB at most"
        )
        if options.report:
            started = time.perf_counter()
            command = [sys.executable, "-m", "hptransfer", "report", str(folder)]
            code = subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
            print(f"reported in {time.perf_counter() - started:.1f} s (exit {code}), {peak:.2f} GB at most")


if __name__ == "__main__":
    main()
