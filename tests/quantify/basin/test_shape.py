"""The shape of a basin: its features, their slopes, and the loss they give."""

import numpy as np
import pytest

from hptransfer.quantify.basin import shape


def test_features_vanish_at_the_optimum_and_slopes_are_their_derivatives():
    assert shape.features(np.zeros(1)) == pytest.approx(np.zeros((1, shape.FEATURES)))
    u, d = np.linspace(-4.0, 4.0, 33), 1e-6
    numeric = (shape.features(u + d) - shape.features(u - d)) / (2 * d)
    assert shape.feature_slopes(u) == pytest.approx(numeric, abs=1e-6)


def test_the_first_features_tilt_and_bend():
    f = shape.features(np.array([-3.0, 0.01, 3.0]))
    assert f[:, 0] == pytest.approx(3.0 * np.arcsinh([-1.0, 0.01 / 3, 1.0]))
    assert f[:, 1] == pytest.approx(0.5 * np.log1p(np.array([9.0, 1e-4, 9.0])))
    bumps = f[:, 2:] + shape.AT_ZERO
    z = (np.arcsinh(3.0 / 0.5) - shape.CENTRES) / 0.6
    assert bumps[2] == pytest.approx(np.exp(-0.5 * z**2))
    assert pytest.approx(np.linspace(-2.4, 2.4, 9)) == shape.CENTRES


def test_excess_is_a_parabola_without_a_shape_and_never_negative_with_one():
    u = np.linspace(-3, 3, 7)
    flat = np.zeros(shape.FEATURES)
    assert shape.excess(u, np.array(np.log(0.2)), flat) == pytest.approx(0.1 * u**2)
    tilted = shape.excess(u, np.array(0.0), np.eye(shape.FEATURES)[0] * 0.5)
    assert (tilted >= 0).all()
    assert tilted[-1] > tilted[0]
    assert np.isfinite(shape.excess(np.array([50.0]), np.array(0.0), np.ones(shape.FEATURES) * 9)).all()
