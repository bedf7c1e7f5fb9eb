"""Warnings of fitted basins, and minima that nothing seen supports."""

from dataclasses import replace

import numpy as np
import pytest
from known_sweeps import make

from hptransfer.quantify.basin.cells import cells_of
from hptransfer.quantify.basin.checks import check_basins
from hptransfer.quantify.basin.fit import fit_basins
from hptransfer.sweep import read


@pytest.fixture(scope="module")
def basins():
    return fit_basins(list(cells_of(make(noise=0.002))), 100, 0)[0]


def checked(basins, inflation=1.0, factor=1.0):
    scales, cells = basins.cells.x.shape
    return check_basins(basins, np.full(scales, inflation), np.full((scales, cells), factor))


def test_a_good_fit_is_left_alone(basins):
    again = checked(basins)
    assert again.fitted.all()
    assert all(not flags for flags in again.flags)


def test_a_minimum_below_all_that_noise_and_spacing_explain_is_rejected(basins):
    lowest, second, third = np.sort(basins.cells.loss[0])[:3]
    edge = lowest - 4 * basins.noise - 0.5 * max(second - lowest, 0.25 * (third - lowest)) - 0.01
    for loss, fits in ((edge + 1e-6, True), (edge - 1e-6, False)):
        found = checked(replace(basins, loss=np.where(np.arange(len(basins.loss)) == 0, loss, basins.loss)))
        assert bool(found.fitted[0]) is fits
        assert ("below_observed" in found.flags[0]) is not fits
        assert np.isnan(found.x[0]) == (not fits)
        assert found.fitted[1:].all()


def test_shapes_of_their_own_outliers_and_flat_basins_are_told(basins):
    assert all("own_shape" in f for f in checked(basins, inflation=2.1).flags)
    assert not any("own_shape" in f for f in checked(basins, inflation=1.9).flags)
    assert all("outliers" in f for f in checked(basins, factor=3.1).flags)
    assert not any("outliers" in f for f in checked(basins, factor=2.9).flags)
    wide = basins.low + (basins.high - basins.low) * np.linspace(0, 1, 100)[:, None]
    assert all("flat" in f for f in checked(replace(basins, x_draws=wide)).flags)
    narrow = basins.low + (basins.high - basins.low) * np.linspace(0.1, 0.9, 100)[:, None]
    assert not any("flat" in f for f in checked(replace(basins, x_draws=narrow)).flags)


@pytest.mark.parametrize(
    ("curvature", "optimum"), [(0.1, -6.5), (0.3, -6.5), (1.0, -6.5), (0.3, -6.4), (0.3, -6.0)]
)
def test_two_lowest_cells_that_tie_without_noise_have_the_minimum_midway(curvature, optimum):
    x = np.arange(-11.0, -2.0)
    loss = [2 + n**-0.3 + 0.5 * curvature * (x - optimum) ** 2 for n in (64.0, 128.0, 256.0)]
    table = {
        "width": np.repeat([64, 128, 256], len(x)),
        "lr": np.tile(2.0**x, 3),
        "loss": np.concatenate(loss),
    }
    found = fit_basins(list(cells_of(read(table))), 100, 0)[0]
    assert not any("below_observed" in flags for flags in found.flags)
    assert found.x == pytest.approx([optimum] * 3, abs=0.02)
