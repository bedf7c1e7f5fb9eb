"""E and E_hp against their definitions written out."""

from dataclasses import replace

import numpy as np
import pytest
from known_sweeps import make

from hptransfer.quantify.basin.cells import cells_of
from hptransfer.quantify.basin.fit import fit_basins
from hptransfer.quantify.fit_error import fit_error, hp_error, surface_residuals
from hptransfer.quantify.law.laws import fit_laws


@pytest.fixture(scope="module")
def fitted():
    basins = fit_basins(list(cells_of(make(noise=0.003, seed=4))), 200, 0)[0]
    return basins, fit_laws(basins, "power", np.random.default_rng(0))


def test_e_is_the_mean_square_with_cells_resampled():
    residuals = np.array([0.1, -0.2, 0.3])
    found = fit_error(residuals, 4000, np.random.default_rng(0))
    assert found.value == pytest.approx((0.01 + 0.04 + 0.09) / 3)
    assert found.draws.mean() == pytest.approx(found.value, rel=0.03)
    assert found.draws.std() == pytest.approx(np.std([0.01, 0.04, 0.09]) / np.sqrt(3), rel=0.05)


def test_the_surface_is_fitted_to_the_cells_that_pass_the_filter(fitted):
    basins, laws = fitted
    for threshold in (1.05, 1.2, 3.0):
        best = np.nanmin(basins.cells.loss, axis=1, keepdims=True)
        count = int((basins.cells.loss <= threshold * best).sum())
        assert len(surface_residuals(basins, laws, threshold)) == count
    # The parabola is one of the shapes: little but noise is left of it.
    assert surface_residuals(basins, laws, 1.05).std() < 0.008


def test_the_shape_is_refitted_to_the_cells_of_the_filter(fitted):
    """From another shape the steps come to the same residuals, and never to larger ones than those at it."""
    basins, laws = fitted
    own = surface_residuals(basins, laws, 1.2)
    tilted = replace(basins, shape=basins.shape + 0.1 * (np.arange(11) == 0))
    other = surface_residuals(tilted, laws, 1.2)
    assert other @ other == pytest.approx(own @ own, rel=0.02)


def test_e_hp_is_the_rms_distance_from_the_law(fitted):
    basins, laws = fitted
    found = hp_error(basins, laws)
    scale = basins.cells.scale
    assert found.value == pytest.approx(np.sqrt(np.mean((basins.x - laws.hp.at(scale)) ** 2)))
    distance = basins.x_draws[7] - [laws.hp.draws_at(n)[7] for n in scale]
    assert found.draws[7] == pytest.approx(np.sqrt(np.mean(distance**2)))
    index = np.full(200, 7)  # a censored optimum reweights draws
    law = {"power": laws.families["power"].subset(index)}
    again = hp_error(basins, replace(laws, index=index, families=law))
    assert again.draws == pytest.approx(np.full(200, found.draws[7]))
