from __future__ import annotations

import math

import pytest
from small_study import study

from hptransfer.runs.config import RunRecord, RunSpec
from hptransfer.runs.flops import run_flops
from hptransfer.study.cost import (
    CALIBRATION_STEPS,
    Rate,
    calibrated_rate,
    can_calibrate,
    measured_rate,
    size_costs,
    stated_rate,
)
from hptransfer.study.planner import plan


def test_lines_count_runs_flops_and_the_time_that_is_left() -> None:
    spec = study()
    stacks = plan(spec, {})
    done = {run.run_id: 3.0 for run in stacks[0].runs}  # sp at width 32
    small, large = size_costs(stacks, done, stated_rate(1e9))
    assert (small.size.width, small.runs, small.finished) == (32, 12, 6)
    assert (large.size.width, large.runs, large.finished) == (64, 12, 0)
    assert large.flops == run_flops(spec.run("sp", 64, 0, 0))
    assert small.seconds == pytest.approx(6 * small.flops / 1e9)
    assert size_costs(stacks, done, None)[0].seconds is None


def test_a_rate_is_the_median_of_finished_runs_and_goes_between_widths() -> None:
    spec = study()
    runs = []
    for width, seconds in ((32, (1.0, 1.0, 50.0)), (64, (2.0, 2.0, 2.0))):
        for index, wall in enumerate(seconds):
            run = spec.run("sp", width, index, 0)
            runs.append((run, RunRecord(run.run_id, "done", 3.0, wall_s=wall)))
    runs.append((spec.run("sp", 32, 5, 0), RunRecord("x", "failed", math.nan, wall_s=1e-6)))
    rate = measured_rate(runs, "runs/small")
    assert rate is not None
    assert rate.source == "measured on 6 finished runs in runs/small"
    flops = {width: run_flops(spec.run("sp", width, 0, 0)) for width in (32, 64)}
    assert rate.of(32) == pytest.approx(flops[32] / 1.0)
    assert rate.of(64) == pytest.approx(flops[64] / 2.0)
    assert rate.of(512) == rate.of(64)
    middle = rate.of(48)
    assert min(rate.of(32), rate.of(64)) <= middle <= max(rate.of(32), rate.of(64))
    assert measured_rate([], "here") is None


def test_a_few_steps_calibrate_at_both_ends_without_any_text() -> None:
    spec = study(
        model={"depth": 1, "heads": 2, "context": 16, "vocab": 300},
        data={"source": "text", "files": "/there/is/no/such/file"},
        train={"tokens_per_param": 1},
    )
    timed = []

    def seconds_per_step(run: RunSpec) -> float:
        timed.append(run)
        return 0.5

    rate = calibrated_rate(spec, seconds_per_step)
    assert [(run.model.width, run.steps, run.data.source) for run in timed] == [
        (32, CALIBRATION_STEPS, "synthetic"),
        (64, CALIBRATION_STEPS, "synthetic"),
    ]
    step_flops = {run.model.width: run_flops(run) / CALIBRATION_STEPS for run in timed}
    assert rate.by_width == pytest.approx({width: flops / 0.5 for width, flops in step_flops.items()})
    assert rate.source == "calibrated: 5 eager steps of one run at width 32 and 64, here"
    assert can_calibrate(spec)
    large = study(
        model={"context": 1024, "vocab": 50_000, "depth": 48}, widths=[4096], train={"batch_size": 512}
    )
    assert not can_calibrate(large)


def test_a_stated_rate_holds_at_every_width() -> None:
    rate = stated_rate(2e12)
    assert rate.seconds(32, 4e12) == rate.seconds(4096, 4e12) == pytest.approx(2.0)
    assert isinstance(rate, Rate)
