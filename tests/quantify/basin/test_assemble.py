"""A variant's basins from the posterior of its batch: means over settings, and draws that belong together."""

from dataclasses import replace

import numpy as np
import pytest
from known_sweeps import make

from hptransfer.quantify.basin.assemble import DrawPlan, _normals, assembled, empty_basins
from hptransfer.quantify.basin.cells import cells_of
from hptransfer.quantify.basin.fit import _batch
from hptransfer.quantify.basin.model import LOCAL, SHARED
from hptransfer.quantify.basin.own_runs import own_optima
from hptransfer.quantify.basin.posterior import fit_posterior
from hptransfer.quantify.basin.window import select_windows
from hptransfer.quantify.priors import OWN_RUNS

PLAN = DrawPlan(4000, 0, 0, 0.0)


@pytest.fixture(scope="module")
def fitted():
    """One variant whose smallest scale has its optimum at an edge: three of four scales are fitted."""
    (cells,) = cells_of(make(noise=0.004, x0=-4.2, drift=-1.5))
    windows = select_windows(cells)
    assert [len(w.slots) > 0 for w in windows] == [False, True, True, True]
    batch, start = _batch([cells], [windows])
    return empty_basins(cells, windows, PLAN.draws), fit_posterior(batch, start), batch.t[0]


def test_windows_alone_leave_all_else_unknown(fitted):
    empty, _, _ = fitted
    assert empty.edge.tolist() == [1, 0, 0, 0]
    assert (empty.x.shape, empty.x_draws.shape) == ((4,), (4000, 4))
    assert np.isnan(empty.x).all()
    assert np.isnan(empty.first[0])
    assert (empty.first[1:] < empty.last[1:]).all()
    assert empty.low[0] == empty.cells.x[0, -2]
    assert empty.high[0] == np.inf
    assert empty.flags[0] == ("at_edge",)


def test_points_are_means_over_the_noise_settings(fitted):
    empty, posterior, t = fitted
    found = assembled(empty, posterior, 0, t, PLAN)
    weight = posterior.weight[0]
    local = np.tensordot(weight, posterior.state.local[0], 1)
    shared = weight @ posterior.state.shared[0]
    own = own_optima(found)
    trust = 1 / (1 + (own.sd / OWN_RUNS.noise) ** 2)
    x = local[:, 1] + OWN_RUNS.share * np.nan_to_num(trust * found.apart)[1:]  # moved to its own runs' vertex
    assert found.x[1:] == pytest.approx(np.clip(x, found.low[1:], found.high[1:]))
    assert found.apart[1:] == pytest.approx(own.x[1:] - local[:, 1], nan_ok=True)
    assert found.loss[1:] == pytest.approx(local[:, 0])
    assert found.log_curvature[1:] == pytest.approx(shared[0] + shared[1] * t + local[:, 2])
    assert found.shape == pytest.approx(shared[2:])
    assert found.noise == pytest.approx(np.prod(posterior.noise.sigma[0] ** weight))
    assert np.isnan(found.x[0])
    assert np.isnan(found.x_draws[:, 0]).all()
    given_shape = np.tensordot(weight, posterior.normal.cov_given_shape[0], 1)
    assert found.cov_given_shape[1:] == pytest.approx(given_shape)


def test_the_misfit_counts_scales_that_miss_the_shape_by_more(fitted):
    empty, posterior, t = fitted
    inflation = np.array([[1.0, 1.5, 4.0]])
    found = assembled(empty, replace(posterior, misfit_inflation=inflation), 0, t, PLAN)
    typical = np.prod(posterior.noise.misfit[0] ** posterior.weight[0])
    assert found.misfit == pytest.approx(typical * np.sqrt((1 + 1.5**2 + 4**2) / 3))
    assert ["own_shape" in flags for flags in found.flags] == [False, False, False, True]


def test_draws_are_those_of_the_posterior(fitted):
    """Mean and covariance of a mixture of normals, one a setting."""
    empty, posterior, t = fitted
    found = assembled(empty, posterior, 0, t, PLAN)
    assert found.loss_draws[:, 1:].mean(axis=0) == pytest.approx(found.loss[1:], abs=4e-4)
    assert found.shape_draws.mean(axis=0) == pytest.approx(found.shape, abs=0.06)
    weight, normal = posterior.weight[0], posterior.normal
    cross = normal.cross[0]
    own = normal.cov_given_shape[0] + np.einsum("gkps,gst,gkqt->gkpq", cross, normal.shared[0], cross)
    between = posterior.state.local[0] - np.tensordot(weight, posterior.state.local[0], 1)
    total = np.tensordot(weight, own + between[..., None] * between[..., None, :], 1)
    assert found.loss_draws[:, 1:].std(axis=0) == pytest.approx(np.sqrt(total[:, 0, 0]), rel=0.06)
    inside = (found.x_draws[:, 2] > found.low[2]) & (found.x_draws[:, 2] < found.high[2])
    assert inside.all()
    assert found.x_draws[:, 2].std() == pytest.approx(np.sqrt(total[1, 1, 1]), rel=0.06)


def test_draws_share_as_much_of_their_variance_as_is_common():
    for common in (0.0, 0.36, 1.0):
        one, other = (_normals(3, replace(PLAN, variant=v, common=common)) for v in (0, 1))
        for a, b, shape in zip(one, other, ((4000, SHARED), (4000, 3, LOCAL)), strict=True):
            assert a.shape == shape
            assert np.corrcoef(a.ravel(), b.ravel())[0, 1] == pytest.approx(common, abs=0.02)
            assert a.std() == pytest.approx(1.0, abs=0.02)
            assert np.array_equal(a, b) == (common == 1.0)
