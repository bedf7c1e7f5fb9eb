"""Limits of draws: the same as numpy's quantiles, and infinite draws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hptransfer.quantify.intervals import bands, estimate, limits, measured, missing, sample_settings, unknown
from hptransfer.quantify.result import Estimate


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=60), st.floats(0.5, 0.99))
def test_limits_are_numpys_quantiles(draws: list[float], level: float) -> None:
    expected = np.quantile(draws, [0.5 * (1 - level), 0.5 * (1 + level)])
    assert limits(np.array(draws), level) == pytest.approx(tuple(expected), rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("infinite", [1, 2, 3, 6])
def test_an_infinite_draw_is_not_interpolated(infinite: int) -> None:
    draws = np.append(np.linspace(1.0, 2.0, 100 - infinite), np.full(infinite, np.inf))
    low, high = limits(draws, 0.95)
    assert 1.0 <= low < 1.1
    assert np.isinf(high) if infinite > 2 else 1.9 < high <= 2.0
    assert (estimate(1.5, draws, 0.95).high is None) == (infinite > 2)


def test_draws_that_are_nan_are_left_out() -> None:
    draws = np.append(np.linspace(0.0, 1.0, 101), [np.nan] * 50)
    assert limits(draws, 0.9) == pytest.approx((0.05, 0.95))
    assert np.isnan(limits(np.full(3, np.nan), 0.9)).all()
    assert estimate(0.5, np.full(3, np.nan), 0.9, "why") == Estimate(0.5, None, None, ("why",))


def test_limits_hold_the_value() -> None:
    draws = np.linspace(0.0, 1.0, 101)
    assert (estimate(-1.0, draws, 0.9).low, estimate(2.0, draws, 0.9).high) == (-1.0, 2.0)
    assert estimate(float("inf"), draws, 0.9, "why") == Estimate(flags=("why",)) == missing("why")
    assert measured(0.5, draws, 0.9).estimate == estimate(0.5, draws, 0.9)
    assert (unknown("why").estimate, unknown("why").draws) == (missing("why"), None)


def test_bands_are_limits_of_every_row() -> None:
    draws = np.random.default_rng(0).permutation(np.arange(201.0))
    low, high = bands(np.stack([draws, 2 * draws]), 0.9)
    assert low.tolist() == [10.0, 20.0]
    assert high.tolist() == [190.0, 380.0]


def test_settings_are_drawn_by_their_weights() -> None:
    uniform = np.array([0.0, 0.19, 0.21, 0.49, 0.51, 0.999, 1.0])
    assert sample_settings(np.array([0.2, 0.3, 0.5]), uniform).tolist() == [0, 0, 1, 1, 2, 2, 2]
