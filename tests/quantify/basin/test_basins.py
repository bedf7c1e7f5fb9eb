"""Losses and regrets of fitted basins, within the fit and beyond it."""

from dataclasses import replace

import numpy as np
import pytest
from known_sweeps import make

from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.basin.cells import cells_of
from hptransfer.quantify.basin.fit import fit_basins


@pytest.fixture(scope="module")
def basins() -> Basins:
    """The fit covers cells 3 octaves either side of the optimum, so that the grid goes on beyond it."""
    return fit_basins(list(cells_of(make(noise=0.002))), 100, 0)[0]


def test_excess_is_zero_at_the_optimum_and_that_of_the_parabola_beside_it(basins):
    assert basins.excess_at(0, basins.x[0:1]) == pytest.approx([0.0])
    assert basins.excess_at(1, basins.x[1] + np.array([-1.0, 1.0])) == pytest.approx([0.04, 0.04], abs=0.01)
    draws = basins.excess_draws(1, np.full(100, basins.x[1] + 1.0))
    assert draws.mean() == pytest.approx(0.04, abs=0.01)


def test_many_values_at_once_are_each_alone(basins):
    """Draws of the regret of shape [B, P] hold, column by column, those of shape [B]."""
    x = basins.x_draws[:, :1] + np.array([-4.0, -0.5, 2.5, 5.0])
    together = basins.regret_draws(2, x)
    assert together.shape == (100, 4)
    for p in range(4):
        assert np.array_equal(together[:, p], basins.regret_draws(2, x[:, p]))
    assert (together[:, 1] != together[:, 2]).any()


def test_beyond_the_fit_a_regret_is_at_least_what_runs_gave(basins):
    k, loss = 0, basins.cells.loss.copy()
    x = float(basins.last[k]) + 0.5
    assert basins.cells.x[k].min() <= x <= np.nanmax(basins.cells.x[k])
    loss[k, basins.cells.x[k] > basins.last[k]] = 9.0
    seen = replace(basins, cells=replace(basins.cells, loss=loss))
    at_last = float(loss[k, basins.cells.x[k] == basins.last[k]][0])
    between = 0.5 * (at_last + 9.0)
    assert seen.regret_at(k, np.array([x])) == pytest.approx([between - basins.loss[k]])
    assert seen.regret_draws(k, np.full(100, x)) == pytest.approx(between - basins.loss_draws[:, k])
    inside, beyond_grid = np.array([basins.last[k] - 0.5]), np.array([np.nanmax(basins.cells.x[k]) + 0.5])
    for at in (inside, beyond_grid):
        assert seen.regret_at(k, at) == pytest.approx(basins.excess_at(k, at))


def test_the_lowest_diverged_value_right_of_the_optimum_is_its_edge(basins):
    x = basins.cells.x
    censored = np.abs(x[0] - basins.x[0]) > 2.0
    walled = replace(
        basins, cells=replace(basins.cells, censored=np.outer([True, False, False, False], censored))
    )
    assert walled.divergence_edge(0) == x[0, censored & (x[0] > basins.x[0])].min()
    assert walled.divergence_edge(1) == float("inf")


def test_single_precision_holds_the_draws_alone(basins):
    small = basins.to_float32()
    assert {small.x_draws.dtype, small.shape_draws.dtype} == {np.dtype(np.float32)}
    assert small.x_draws == pytest.approx(basins.x_draws, rel=1e-6)
    assert small.x.dtype == np.float64
