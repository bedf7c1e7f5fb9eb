"""A line under departures: the textbook's estimate, and what a prior on its slope adds."""

import numpy as np
import pytest

from hptransfer.quantify.law.least_squares import solve
from hptransfer.quantify.law.scatter import Departure, SizePrior, scatters
from hptransfer.quantify.priors import LAW

T = np.array([5.0, 6.0, 7.5, 8.0])
Y = np.array([-8.0, -8.4, -9.1, -9.2])
BASIS = np.stack([np.ones(4), T - T.mean()], axis=1)


def every():
    draws = np.random.default_rng(0).standard_normal((400, 4)) * [0.1, 0.2, 0.1, 0.3]
    return scatters(T, draws, Departure(SizePrior(0.1, 0.7, 0.3), SizePrior(0.2, 0.5, 0.3)))


@pytest.mark.parametrize("slope", [None, (-0.2, 0.1)])
def test_a_line_is_that_of_generalised_least_squares_with_the_prior_as_one_more_datum(slope) -> None:
    found, sizes = solve(BASIS, Y, every(), slope), every()
    for s in (0, 7, len(sizes.size) - 1):
        weight, basis, y = sizes.inverse[s], BASIS, Y
        if slope is not None:
            weight = np.block([[weight, np.zeros((4, 1))], [np.zeros((1, 4)), slope[1] ** -2]])
            basis, y = np.vstack([BASIS, [0.0, 1.0]]), np.append(Y, slope[0])
        errors = np.linalg.inv(basis.T @ weight @ basis)
        points = errors @ basis.T @ weight @ y
        residual = y - basis @ points
        assert found.points[s] == pytest.approx(points)
        assert found.errors[s] == pytest.approx(errors)
        chi2 = residual @ weight @ residual
        log = -0.5 * (chi2 + sizes.log_det[s] - np.linalg.slogdet(errors)[1])
        assert found.likelihood[s] == pytest.approx(log - np.log(LAW.slope_sd if slope is None else slope[1]))


def test_a_constant_has_no_slope() -> None:
    found = solve(np.ones((4, 1)), Y, every())
    assert found.points.shape[1] == 1
    assert np.ptp(found.points) < np.ptp(Y)
    assert not found.pull.any()
