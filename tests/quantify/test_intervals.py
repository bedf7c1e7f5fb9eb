"""Limits of draws: the same as numpy's quantiles, and infinite draws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hptransfer.quantify.intervals import estimate, limits


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
