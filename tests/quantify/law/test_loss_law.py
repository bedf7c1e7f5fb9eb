"""The loss law's grid against least squares solved one alpha and one draw at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from hptransfer.quantify.law import loss_law
from hptransfer.quantify.law.loss_law import fit_loss

SCALES = 32.0 * 2.0 ** np.arange(5)


def draws_of(y: np.ndarray, sd: float, count: int = 40, seed: int = 0) -> np.ndarray:
    return y + sd * np.random.default_rng(seed).standard_normal((count, len(y)))


@settings(max_examples=25, deadline=None)
@given(
    level=st.floats(0.0, 3.0), gain=st.floats(0.0, 2.0), alpha=st.floats(0.05, 2.0), sd=st.floats(0.001, 0.2)
)
def test_least_chi2_is_that_of_nonnegative_least_squares(
    level: float, gain: float, alpha: float, sd: float
) -> None:
    y = draws_of(level + gain * (SCALES / 32) ** -alpha + 0.3, sd, 6)
    covariance = sd**2 * (np.eye(5) + 0.3)
    inverse = np.linalg.inv(covariance)
    power = (SCALES / 32) ** -loss_law.ALPHAS[:, None]
    found = loss_law._profile(power, y, inverse)
    root = np.linalg.cholesky(inverse).T
    for g in range(0, len(power), 6):
        design = root @ np.stack([np.ones(5), power[g]], axis=1)
        exact = [nnls(design, root @ row)[1] ** 2 for row in y]
        assert np.allclose(found[:, g], exact, rtol=1e-3, atol=1e-2)


def test_a_law_without_noise_is_found_again() -> None:
    y = 2.5 + 0.8 * (SCALES / 32) ** -0.4
    law = fit_loss(SCALES, y, draws_of(y, 1e-5))
    assert law.parameters == pytest.approx([2.5, 0.8, 0.4], rel=0.03)
    assert law.at(64.0) == pytest.approx(2.5 + 0.8 * 2**-0.4, abs=1e-3)
    assert not law.point_at_bound


def test_losses_that_rise_have_no_gain() -> None:
    y = np.array([2.0, 2.1, 2.2, 2.3, 2.4])
    law = fit_loss(SCALES, y, draws_of(y, 0.01))
    assert law.parameters[1] == 0.0
    assert np.isnan(law.alpha)
    assert "A at 0" in law.point_at_bound


def test_a_floor_is_held() -> None:
    y = 1.0 * (SCALES / 32) ** -0.5 - 0.2 * np.linspace(0, 1, 5)
    law = fit_loss(SCALES, y, draws_of(y, 0.01))
    assert law.parameters[0] == 0.0
    assert (law.draws[:, 0] >= 0).all()
    assert law.point_at_bound == ("L_inf at 0",)


def test_draws_are_laws_of_their_own() -> None:
    y = 2.5 + 0.8 * (SCALES / 32) ** -0.4
    law = fit_loss(SCALES, y, draws_of(y, 0.01))
    l_inf, gain, alpha = law.draws.T
    for scale in (16.0, 500.0):
        assert law.draws_at(scale) == pytest.approx(l_inf + gain * (scale / 32) ** -alpha)
    assert np.array_equal(law.draws_at(np.array([16.0, 500.0]))[1], law.draws_at(500.0))
