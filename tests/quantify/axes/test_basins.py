import numpy as np
import pytest
from surfaces import FOUR, optimum, sweep_of

from hptransfer.quantify.axes.basins import directions, fit_points, points_of
from hptransfer.quantify.axes.design import axis_values
from hptransfer.quantify.priors import AXES

NAMES = ("params", "tokens")


@pytest.fixture(scope="module")
def found():
    sweep = sweep_of(FOUR)
    ((points, cells),) = points_of(sweep, axis_values(sweep, NAMES), NAMES)
    return points, *fit_points(points, cells, 2000, 0)


def test_every_point_is_a_scale_with_its_optimum(found):
    points, basins, _ = found
    octaves = points.z - points.z.min(axis=0)
    np.testing.assert_allclose(basins.x, optimum(octaves, NAMES), atol=0.03)
    assert basins.cells.runs.tolist() == [11] * len(FOUR)


def test_optima_share_an_error_of_the_shape(found):
    _, basins, _ = found
    width = np.exp(-0.5 * np.median(basins.log_curvature))  # of a curvature of 0.12: 2.9 octaves
    assert width == pytest.approx(0.12**-0.5, rel=0.1)
    common = basins.x_draws.mean(axis=1).std()
    assert common > 0.95 * AXES.shape_shift * width
    # differences between points do not have it
    apart = (basins.x_draws[:, 0] - basins.x_draws[:, 1]).std()
    assert apart < common


def test_directions_are_unit_and_none_is_anothers_opposite():
    for axes, count in ((2, 8), (3, 13)):
        found = directions(axes)
        assert len(found) == count
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0)
        assert np.abs(np.triu(found @ found.T, 1)).max() < 1.0 - 1e-6


def test_a_direction_that_is_given_is_kept():
    sweep = sweep_of(FOUR)
    ((points, cells),) = points_of(sweep, axis_values(sweep, NAMES), NAMES)
    given = np.array([0.6, 0.8])
    assert fit_points(points, cells, 100, 0, given)[1] is given
