import numpy as np
import pytest
from surfaces import FOUR

from hptransfer.quantify.axes.loss import fit_loss_surface


def test_the_loss_law_of_exact_losses_is_found() -> None:
    y = 1.8 + 0.7 * 2.0 ** (-0.35 * FOUR[:, 0]) + 0.5 * 2.0 ** (-0.5 * FOUR[:, 1])
    draws = y + 2e-4 * np.random.default_rng(0).standard_normal((300, len(y)))
    fit = fit_loss_surface(FOUR, y, draws)
    assert fit.at(FOUR) == pytest.approx(y, abs=2e-3)
    for i, alpha in enumerate((0.35, 0.5)):
        low, high = np.quantile(fit.alpha(i)[1], [0.025, 0.975])
        assert low <= alpha <= high
    ahead = np.array([[5.0, 4.0]])
    low, high = np.quantile(fit.draws_at(ahead)[:, 0], [0.01, 0.99])
    assert low - 0.02 <= 1.8 + 0.7 * 2.0 ** (-1.75) + 0.5 * 2.0**-2.0 <= high + 0.02


def test_an_axis_that_gains_nothing_has_no_exponent() -> None:
    y = 1.8 + 0.7 * 2.0 ** (-0.35 * FOUR[:, 0])
    fit = fit_loss_surface(FOUR, y, y + 2e-4 * np.random.default_rng(0).standard_normal((300, len(y))))
    assert fit.gains.tolist() == [True, False]
    assert np.isnan(fit.alpha(1)[0])


def test_along_a_path_the_exponent_is_between_those_of_its_axes() -> None:
    y = 1.8 + 0.7 * 2.0 ** (-0.3 * FOUR[:, 0]) + 0.5 * 2.0 ** (-0.6 * FOUR[:, 1])
    fit = fit_loss_surface(FOUR, y, y + 2e-4 * np.random.default_rng(0).standard_normal((100, len(y))))
    value, draws = fit.along(np.array([1.0, 1.0]), FOUR[-1])
    assert fit.alpha(0)[0] < value < fit.alpha(1)[0]
    assert draws.shape == (100,)
