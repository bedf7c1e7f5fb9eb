import numpy as np
import pytest
from joint_sweeps import surface

from hptransfer.quantify.basin.shape import FEATURES, excess
from hptransfer.quantify.joint.surface import (
    Surface,
    correction,
    correction_slopes,
    corrections,
    warp,
    warp_slope,
)


@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_the_optimum_is_the_lowest_place(d, seed):
    u = np.random.default_rng(seed).uniform(-5, 5, (500, d))
    assert surface(d, seed).excess(np.zeros(d)) == 0
    assert (surface(d, seed).excess(u) > 0).all()


@pytest.mark.parametrize("d", [2, 3])
def test_the_curvature_is_that_of_the_loss_at_the_optimum(d):
    s, step = surface(d), 1e-4
    found = np.zeros((d, d))
    for i in range(d):
        for j in range(d):
            ends = [
                si * sj * s.excess(step * (si * np.eye(d)[i] + sj * np.eye(d)[j]))
                for si in (-1, 1)
                for sj in (-1, 1)
            ]
            found[i, j] = sum(ends) / (4 * step**2)
    np.testing.assert_allclose(found, s.curvature(), rtol=1e-3, atol=1e-6)
    assert (np.linalg.eigvalsh(s.curvature()) > 0).all()


def test_along_one_axis_it_is_the_basin_of_one_hyperparameter():
    s = Surface(
        np.array([-2.0, -3.0]),
        np.zeros(1),
        np.zeros(2),
        np.array([0.2, 0.1]),
        np.array([0.3, 0.0]),
        np.zeros(25),
    )
    u = np.linspace(-4, 4, 9)
    shape = np.zeros(FEATURES)
    shape[:2] = 0.2, 0.3
    np.testing.assert_allclose(s.excess(np.column_stack([u, 0 * u])), excess(u, np.array(-2.0), shape))


def test_the_stretch_rises_and_its_slope_is_right():
    u = np.linspace(-8, 8, 801)
    for tilt, bend in ((-0.5, -0.4), (0.5, 3.0), (0.5, -0.4)):
        w = warp(u, np.array(tilt), np.array(bend))
        assert (np.diff(w) > 0).all()
        np.testing.assert_allclose(
            np.gradient(w, u)[1:-1], warp_slope(u, np.array(tilt), np.array(bend))[1:-1], rtol=2e-3
        )


@pytest.mark.parametrize("d", [2, 3])
def test_corrections_vanish_at_the_optimum_and_have_the_right_slope(d):
    bump = surface(d, 3, 0.3).bump
    u = np.random.default_rng(1).uniform(-3, 3, (20, d))
    assert correction(np.zeros(d), bump) == pytest.approx(0.0)
    np.testing.assert_allclose(correction(u, bump), corrections(u) @ bump, atol=1e-12)
    for j in range(d):
        step = 1e-5 * np.eye(d)[j]
        slope = (correction(u + step, bump) - correction(u - step, bump)) / 2e-5
        np.testing.assert_allclose(slope, correction_slopes(u, bump)[:, j], atol=1e-8)


def test_several_surfaces_broadcast():
    many = Surface(*(np.stack([f, f]) for f in vars(surface()).values()))
    u = np.ones((2, 2))
    np.testing.assert_allclose(many.excess(u), surface().excess(np.ones(2)))
