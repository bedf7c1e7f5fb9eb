"""Noise of runs and the shape's error as a covariance of cells, against the formulas written out."""

import numpy as np
import pytest

from hptransfer.quantify.basin import noise_model
from hptransfer.quantify.basin.noise_model import CellErrors, NoiseParameters

SIGMA, MISFIT, GROWTH = 0.01, 0.3, 0.5
NOISE = NoiseParameters(*(np.array([[value]]) for value in (SIGMA, MISFIT, GROWTH, 0.0)))


def test_a_run_is_noisier_right_of_the_optimum_and_far_up():
    u, rise = np.array([[[-2.0, 0.0, 1.0, 4.0, 9.0]]]), np.array([[[0.0, 0.0, 0.0, 0.0, 0.0]]])
    sd = np.sqrt(noise_model.run_variance(u, rise, NOISE))[0, 0, 0]
    assert sd == pytest.approx(SIGMA * np.array([1.0, 1.0, 1.5, 3.0, 3.0]))
    up = noise_model.run_variance(u, rise + 2.0, NOISE)[0, 0, 0]
    assert up == pytest.approx(sd**2 + (0.2 * MISFIT * 2.0) ** 2)


def test_the_covariance_of_cells_is_noise_of_means_and_a_smooth_error_of_the_shape():
    u, rise = np.array([[[-1.0, 0.0, 1.1, 0.0]]]), np.array([[[0.3, 0.0, 0.5, 0.0]]])
    count, factor = np.array([[[1.0, 2.0, 4.0, 0.0]]]), np.array([[[1.0, 1.0, 3.0, 1.0]]])
    found = noise_model.covariance(CellErrors(u, rise, count, factor, np.array([[2.0]])), NOISE)[0, 0, 0]
    one = noise_model.run_variance(u, rise, NOISE)[0, 0, 0]
    smooth = (
        (MISFIT * 2.0) ** 2
        * np.outer(rise, rise)
        * np.exp(-0.5 * (np.subtract.outer(u, u) / 2.1) ** 2).squeeze()
    )
    expected = smooth + np.diag(one * [1.0, 1 / 2, 3 / 4, 0.0])
    expected[3, 3] = 1.0  # padding
    assert found == pytest.approx(expected)


def test_settings_are_a_priori_likeliest_at_their_medians():
    grid = noise_model.grid(np.array([1.0, 3.0]))
    assert grid.sigma[1] == pytest.approx(3.0 * grid.sigma[0])
    assert grid.sigma.shape == (2, 10 * 4 * 3)
    best = np.argmax(grid.log_prior[0])
    near = noise_model.SIGMAS[np.argmin(np.abs(np.log(noise_model.SIGMAS / 0.004)))]
    assert (grid.sigma[0, best], grid.misfit[0, best]) == (near, 0.008)
    sigma = grid.sigma[0][[0, -1]]
    away = [
        (np.log(s / 0.004) / 1.3) ** 2 + (np.log(m / 0.01) / 1.8) ** 2
        for s, m in zip(sigma, (0.008, 0.45), strict=True)
    ]
    assert grid.log_prior[0][[0, -1]] == pytest.approx(-0.5 * np.array(away))
