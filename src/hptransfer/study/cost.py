"""How long a plan takes and what it costs, from the rate at which runs train."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from hptransfer.runs.config import RunRecord, RunSpec
from hptransfer.runs.flops import run_flops
from hptransfer.study.scale import Size
from hptransfer.study.spec import StudySpec
from hptransfer.study.stacks import Stack
from hptransfer.words import rough

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
class SizeCost:
    """The runs of a plan at one size, and what they take."""

    size: Size
    runs: int  # planned, finished ones included
    finished: int  # of those
    tokens: int  # of one run
    flops: float  # of one run
    seconds: float | None  # of one device, for the runs that are left; None where no rate is known


def size_costs(stacks: Sequence[Stack], finished: Mapping[str, float], rate: Rate | None) -> list[SizeCost]:
    """A plan by size, by width first, with the finished runs by id; without a rate the time is left out."""
    planned: dict[Size, dict[str, RunSpec]] = {}
    for stack in stacks:
        planned.setdefault(stack.size, {}).update({run.run_id: run.spec for run in stack.runs})
    costs = []
    for size, runs in sorted(planned.items(), key=lambda item: item[0].width):
        any_run = next(iter(runs.values()))
        done = len(runs.keys() & finished.keys())
        flops = run_flops(any_run)
        seconds = None if rate is None else rate.seconds(size.width, (len(runs) - done) * flops)
        costs.append(SizeCost(size, len(runs), done, any_run.tokens, flops, seconds))
    return costs


def measured_rate(found: Iterable[tuple[RunSpec, RunRecord]], where: str) -> Rate | None:
    """The rate of finished runs: the median of each width's; None where no run is finished.

    A run's wall time is its share of its stack's, so this is the rate of a worker as the study trains.
    """
    rates: dict[int, list[float]] = {}
    for run, record in found:
        if record.status == "done" and record.wall_s > 0:
            rates.setdefault(run.model.width, []).append(run_flops(run) / record.wall_s)
    if not rates:
        return None
    runs = sum(map(len, rates.values()))
    at = {width: statistics.median(values) for width, values in rates.items()}
    return Rate(at, f"measured on {runs} finished run{'' if runs == 1 else 's'} in {where}")


def stated_rate(flops_per_second: float) -> Rate:
    """A rate that the user states."""
    return Rate({1: flops_per_second}, f"given: {rough(flops_per_second)} FLOP/s a device")


def can_calibrate(spec: StudySpec) -> bool:
    """Whether calibrating here is quick: a minute, even at the rate of a slow core."""
    return run_flops(_calibration_run(spec, _ends(spec)[-1])) < MOST_CALIBRATION


def calibrated_rate(spec: StudySpec, seconds_per_step: Callable[[RunSpec], float]) -> Rate:
    """The rate of a few steps on this machine, at the smallest and the largest width, on synthetic tokens.

    A study trains at this rate or faster: its stacks hold more runs, and may be compiled. The data's own
    speed is not in it. `seconds_per_step` trains a run, as `hptransfer.lm.pace.seconds_per_step` does.
    """
    runs = [_calibration_run(spec, size) for size in _ends(spec)]
    at = {run.model.width: run_flops(run) / run.steps / seconds_per_step(run) for run in runs}
    widths = " and ".join(str(width) for width in at)
    return Rate(at, f"calibrated: {CALIBRATION_STEPS - 1} eager steps of one run at width {widths}, here")


def _ends(spec: StudySpec) -> list[Size]:
    """A size of the smallest width and one of the largest, the most FLOPs a step of theirs."""
    by_width = {size.width: size for size in sorted(spec.sizes, key=lambda size: _step_flops(spec, size))}
    return [by_width[width] for width in sorted({min(by_width), max(by_width)})]


def _step_flops(spec: StudySpec, size: Size) -> float:
    run = spec.example_run(size)
    return run_flops(run) / run.steps


def _calibration_run(spec: StudySpec, size: Size) -> RunSpec:
    """A run of the study's shapes at a size that takes a few steps and needs no text."""
    run = spec.example_run(size)
    data = run.model_dump(mode="json", exclude={"code"})
    budget = ("steps", "tokens_per_param", "warmup", "warmup_steps", "decay", "decay_steps")
    data["train"] = {name: value for name, value in data["train"].items() if name not in budget}
    data["train"]["steps"] = CALIBRATION_STEPS
    tokens = max(CALIBRATION_TOKENS, 40 * run.model.context)
    data["data"] = {"source": "synthetic", "tokens": tokens, "validation_tokens": run.model.context}
    return RunSpec.model_validate(data)
