import numpy as np
import pytest
from joint_sweeps import surface

from hptransfer.quantify.joint.profile import contour, profiled, sliced
from hptransfer.quantify.joint.surface import Surface


def plain(d=2, couple=0.6):
    """A quadratic without skew."""
    pairs = d * (d - 1) // 2
    bumps = 25 if d == 2 else 27
    return Surface(np.full(d, np.log(0.1)), np.full(pairs, couple), *[np.zeros(d)] * 3, np.zeros(bumps))


@pytest.mark.parametrize("d", [2, 3])
def test_the_profile_of_a_quadratic_is_the_curvature_given_the_others(d):
    u = np.linspace(-2, 2, 5)
    for j in range(d):
        inverse = np.linalg.inv(plain(d).curvature())[j, j]
        np.testing.assert_allclose(profiled(plain(d), (j,), u[:, None]), 0.5 * u**2 / inverse, atol=2e-3)
        np.testing.assert_allclose(sliced(plain(d), j, u), 0.5 * u**2 * plain(d).curvature()[j, j])


@pytest.mark.parametrize("d", [2, 3])
def test_a_profile_lies_below_its_slice(d):
    u = np.linspace(-3, 3, 13)
    for j in range(d):
        assert (profiled(surface(d, 2), (j,), u[:, None]) <= sliced(surface(d, 2), j, u) + 1e-9).all()


@pytest.mark.parametrize("d", [2, 3])
def test_a_contour_lies_at_its_height(d):
    at = contour(surface(d, 1), (0, 1), 0.02)
    np.testing.assert_allclose(profiled(surface(d, 1), (0, 1), at), 0.02, rtol=1e-3)
    np.testing.assert_allclose(at[0], at[-1], atol=1e-6)  # it closes
