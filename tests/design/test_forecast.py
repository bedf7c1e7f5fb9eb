from __future__ import annotations

import math

import pytest
from small_study import study

from hptransfer.design.forecast import forecast
from hptransfer.study.planner import plan
from hptransfer.study.rounds import candidate_grid, observations


def test_more_flops_buy_a_narrower_interval_and_the_grid_comes_last() -> None:
    spec = study(widths=[32, 64, 128, 256], seeds=[0, 1], targets=[1024], lr={"low": "2^-12", "high": "2^-2"})
    options, known = forecast(candidate_grid(spec), observations(spec, {}), "prediction")
    assert not known
    assert options[-1].plan == "full grid"
    assert options[-1].runs == 2 * 4 * 11 * 2
    assert options[-1].flops == pytest.approx(sum(s.flops for s in plan(spec, {})))
    widths = [option.width for option in options[:-1]]
    assert widths == sorted(widths, reverse=True)
    assert [o.flops for o in options] == sorted(o.flops for o in options)
    assert math.isfinite(widths[-1])
    assert options[-1].width < 2.0


def test_finished_runs_are_what_a_budget_is_judged_by() -> None:
    spec = study(widths=[32, 64, 128], seeds=[0, 1], targets=[512], lr={"low": "2^-10", "high": "2^-3"})
    noisy, quiet = {}, {}
    for stack in plan(spec, {}):
        for run in stack.runs:
            x = math.log2(run.spec.lr * run.spec.model.width / 32) + 6.3
            sign = 1.0 if (run.index + run.spec.seed + run.spec.model.width // 32) % 2 else -1.0
            quiet[run.run_id] = 3.0 + 0.06 * x * x
            noisy[run.run_id] = quiet[run.run_id] + 0.03 * sign
    calm, known = forecast(candidate_grid(spec), observations(spec, quiet), "prediction")
    rough, _ = forecast(candidate_grid(spec), observations(spec, noisy), "prediction")
    assert known
    assert calm[-1].width < 0.8 * rough[-1].width
