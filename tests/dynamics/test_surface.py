import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hptransfer.dynamics.surface import Surface
from hptransfer.errors import DynamicsError


def points(a: float, b: float, c: float, d: float = 0.0) -> np.ndarray:
    """log2 of a measure that is a + b x + c n + d x^2 without noise, at 6 learning rates and 3 scales."""
    x, n = (grid.ravel() for grid in np.meshgrid(np.arange(-8.0, -2.0), [5.0, 6.0, 7.0]))
    return np.column_stack([x, n, a + b * x + c * n + d * x**2])


@given(st.floats(-5, 5), st.floats(0.5, 3), st.floats(-1, 1))
def test_a_plane_is_found_and_crosses_where_it_must(a: float, b: float, c: float) -> None:
    surface = Surface.fitted(points(a, b, c), 0.95, "a plane")
    assert surface.mean[1:3] == pytest.approx([b, c], abs=1e-6)
    limit = a + b * -5 + c * 8
    found = surface.crossing(256.0, limit)
    assert math.log2(found.hp) == pytest.approx(-5, abs=1e-4)
    assert found.low <= found.hp * (1 + 1e-6)
    assert found.high >= found.hp * (1 - 1e-6)


def test_a_bent_surface_crosses_on_its_rising_side() -> None:
    surface = Surface.fitted(points(0.0, 12.0, 0.0, 1.0), 0.95, "a parabola")  # lowest at x = -6
    assert len(surface.mean) == 4
    assert math.log2(surface.crossing(64.0, -35.0).hp) == pytest.approx(-5, abs=1e-4)


def test_what_does_not_rise_never_reaches_a_limit_above_it() -> None:
    surface = Surface.fitted(points(0.0, -1.0, 0.0), 0.95, "a falling plane")
    assert surface.crossing(64.0, 100.0).hp == math.inf
    assert surface.crossing(64.0, -100.0).hp == 0.0


def test_too_few_points_are_told() -> None:
    with pytest.raises(DynamicsError, match=r"two learning rates and 6 probed runs, but x has 3, 1 and 3"):
        Surface.fitted(points(0.0, 1.0, 0.0)[[0, 6, 12]], 0.95, "x")
