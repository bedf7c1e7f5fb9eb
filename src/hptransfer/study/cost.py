"""How long a plan takes and what it costs, from the rate at which runs train."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from hptransfer.runs.config import RunRecord, RunSpec
from hptransfer.runs.flops import run_flops
from hptransfer.study.spec import StudySpec
from hptransfer.study.stacks import Stack

CALIBRATION_STEPS = 6  # of which the first is a warm-up
MOST_CALIBRATION = 3e11  # FLOPs: a minute at 5 GFLOP/s
CALIBRATION_TOKENS = 1 << 18  # of the synthetic source that is trained on


@dataclass(frozen=True)
class Rate:
    """FLOPs per second of one device, at one or more widths."""

    by_width: Mapping[int, float]  # ascending; between two widths it is interpolated in the logarithms
    source: str  # where it is from, as the plan says it

    def seconds(self, width: int, flops: float) -> float:
        """Of one device, for so much work at a width."""
        return flops / self.of(width)

    def of(self, width: int) -> float:
        """FLOPs per second at a width."""
        import numpy as np

        widths = sorted(self.by_width)
        logs = [math.log(self.by_width[w]) for w in widths]
        return float(np.exp(np.interp(math.log(width), [math.log(w) for w in widths], logs)))


@dataclass(frozen=True)
class WidthCost:
    """The runs of a plan at one width, and what they take."""

    width: int  # of the residual stream
    runs: int  # planned, finished ones included
    finished: int  # of those
    tokens: int  # of one run
    flops: float  # of one run
    seconds: float | None  # of one device, for the runs that are left; None where no rate is known


def width_costs(stacks: Sequence[Stack], finished: Mapping[str, float], rate: Rate | None) -> list[WidthCost]:
    """A plan by width, ascending, with the finished runs by id; without a rate the time is left out."""
    runs: dict[int, dict[str, RunSpec]] = {}
    for stack in stacks:
        runs.setdefault(stack.width, {}).update({run.run_id: run.spec for run in stack.runs})
    out = []
    for width in sorted(runs):
        any_run = next(iter(runs[width].values()))
        done = sum(run_id in finished for run_id in runs[width])
        flops = run_flops(any_run)
        left = (len(runs[width]) - done) * flops
        seconds = None if rate is None else rate.seconds(width, left)
        out.append(WidthCost(width, len(runs[width]), done, any_run.tokens, flops, seconds))
    return out


def measured_rate(found: Iterable[tuple[RunSpec, RunRecord]], where: str) -> Rate | None:
    """The rate of finished runs: the median of each width's; None where no run is finished.

    A run's wall time is its share of its stack's, so this is the rate of a worker as the study trains.
    """
    rates: dict[int, list[float]] = {}
    runs = 0
    for run, record in found:
        if record.status == "done" and record.wall_s > 0:
            rates.setdefault(run.model.width, []).append(run_flops(run) / record.wall_s)
            runs += 1
    if not runs:
        return None
    at = {width: statistics.median(values) for width, values in sorted(rates.items())}
    return Rate(at, f"measured on {runs} finished run{'' if runs == 1 else 's'} in {where}")


def stated_rate(flops_per_second: float) -> Rate:
    """A rate that the user states."""
    return Rate({1: flops_per_second}, f"given: {flops_per_second:.3g} FLOP/s a device")


def can_calibrate(spec: StudySpec) -> bool:
    """Whether calibrating here is quick: a minute, even at the rate of a slow core."""
    return run_flops(_calibration_run(spec, max(spec.widths))) < MOST_CALIBRATION


def calibrated_rate(spec: StudySpec) -> Rate:
    """The rate of a few steps on this machine, at the smallest and the largest width, on synthetic tokens.

    One run a stack, one thread, as a local worker has, and nothing compiled, so a study trains at this rate
    or faster. The data's own speed is not in it.

    Raises:
        ImportError: torch is not installed.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        at = {width: _rate(spec, width) for width in sorted({min(spec.widths), max(spec.widths)})}
    finally:
        torch.set_num_threads(threads)
    widths = " and ".join(str(width) for width in at)
    return Rate(at, f"calibrated: {CALIBRATION_STEPS - 1} eager steps of one run at width {widths}, here")


def _rate(spec: StudySpec, width: int) -> float:
    """FLOPs a second of the median of a few steps."""
    from hptransfer.lm.train import train_stack

    run = _calibration_run(spec, width)
    times: list[float] = []
    train_stack([run], compiled=False, on_step=lambda *_: times.append(time.perf_counter()))
    step = statistics.median(b - a for a, b in pairwise(times))
    return run_flops(run) / CALIBRATION_STEPS / step


def _calibration_run(spec: StudySpec, width: int) -> RunSpec:
    """A run of the study's shapes at a width that takes a few steps and needs no text."""
    run = spec.example_run(width)
    data = run.model_dump(mode="json")
    for key in ("tokens_per_param", "warmup_steps", "decay_steps"):
        data["train"].pop(key, None)
    data["train"] |= {"steps": CALIBRATION_STEPS, "warmup": 0.1}
    if data["train"].get("schedule", "wsd") == "wsd":
        data["train"]["decay"] = 0.2
    tokens = max(CALIBRATION_TOKENS, 40 * run.model.context)
    data["data"] = {"source": "synthetic", "tokens": tokens, "validation_tokens": run.model.context}
    data.pop("code", None)
    return RunSpec.model_validate(data)
