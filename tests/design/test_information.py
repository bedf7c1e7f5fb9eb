from __future__ import annotations

import math

import numpy as np
import pytest
from small_study import adaptive_study

from hptransfer.design.grid import CandidateGrid, Observations
from hptransfer.design.information import Information, LinearizationPoint
from hptransfer.study.rounds import candidate_grid


def information(observed: Observations | None = None) -> tuple[CandidateGrid, Information]:
    grid = candidate_grid(adaptive_study())
    flat = LinearizationPoint(np.full(4, -6.0), np.full(4, math.log(0.1)), 0.005, 0.05)
    return grid, Information(grid, "sp", flat, observed or Observations())


def test_the_gain_of_a_run_is_what_the_variance_falls_by() -> None:
    _, info = information()
    for place in (10, 11, 12, 13, 14):
        for k in range(3):
            info.run((k, place))
    asked = info.prediction()
    before = info.variance(asked)
    for key in ((2, 11), (1, 13), (0, 10)):
        gain = info.gain(asked, np.linalg.inv(info.matrix), key)
        assert gain == pytest.approx(before - info.with_runs([key]).variance(asked), rel=1e-6)
        assert gain > 0


def test_flanks_tell_of_the_optimum_and_its_bottom_does_not() -> None:
    _, info = information()
    for place in (11, 12, 13):
        info.run((1, place))
    asked, covariance = info.optima([1]), np.linalg.inv(info.matrix)
    at = {place: info.gain(asked, covariance, (1, place)) for place in range(8, 17)}
    assert max(at[11], at[13]) > 3 * at[12]
    assert not info.informative((1, 0))


def test_a_new_place_is_worth_more_than_a_fourth_seed() -> None:
    _, info = information()
    for place in (11, 12, 13):
        for _ in range(3):
            info.run((1, place))
    asked, covariance = info.optima([1]), np.linalg.inv(info.matrix)
    assert info.gain(asked, covariance, (1, 14)) > info.gain(asked, covariance, (1, 13))
