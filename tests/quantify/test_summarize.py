"""Basins and laws as plain data: curves, bounds, units and parameters."""

from dataclasses import replace

import numpy as np
import pytest
from known_sweeps import make

from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.basin.cells import cells_of
from hptransfer.quantify.basin.fit import fit_basins
from hptransfer.quantify.intervals import limits
from hptransfer.quantify.law.laws import Laws, fit_laws
from hptransfer.quantify.settings import Settings
from hptransfer.quantify.summarize import laws_of, optimal_hp, optimum

WIDTHS = (64.0, 128.0, 256.0, 512.0, 1024.0)


@pytest.fixture(scope="module")
def basins() -> Basins:
    return fit_basins(list(cells_of(make(noise=0.002, widths=WIDTHS))), 400, 0)[0]


def settings(targets: tuple[float, ...] = ()) -> Settings:
    return Settings(targets, 0.95, 0.01, 200, 0, None, None, 0, 1.35, None)


def laws(basins: Basins, family: str) -> Laws:
    found = fit_laws(basins, family, np.random.default_rng(0))
    assert found is not None
    return found


def test_an_optimum_in_the_users_units(basins):
    found = optimum(basins, 1, 0.9)
    eta = 2.0 ** basins.x[1]
    assert found.scale == 128.0
    assert found.hp.value == pytest.approx(eta)
    assert (found.hp.low, found.hp.high) == pytest.approx(
        tuple(2.0 ** np.array(limits(basins.x_draws[:, 1], 0.9))), rel=1e-4
    )
    h = np.exp(basins.log_curvature[1])
    assert found.log_curvature.value == pytest.approx(h)
    # d2L/d eta2 at a minimum is d2L/dx2 (dx/d eta)^2, dx/d eta = 1 / (eta ln 2).
    assert found.curvature.value == pytest.approx(h / (eta * np.log(2)) ** 2)
    assert (found.runs, found.diverged, found.unpooled_hp) == (10, 0, None)
    assert optimum(basins, 1, 0.9, basins).unpooled_hp == found.hp == optimal_hp(basins, 1, 0.9)


def test_a_curve_reaches_three_octaves_within_the_grid(basins):
    found = optimum(basins, 0, 0.95)  # at log2 eta -8.3 in a grid from -13 to -4
    x = np.log2(found.curve_hp)
    assert len(x) == 61
    assert x[[0, -1]] == pytest.approx([basins.x[0] - 3.0, basins.x[0] + 3.0])
    assert found.curve_loss == pytest.approx(basins.loss[0] + basins.excess_at(0, x))
    assert np.log2(optimum(basins, 4, 0.95).curve_hp[0]) == pytest.approx(-13.0)  # 3 octaves left is outside


def test_an_edge_optimum_has_its_bounds_and_its_best_run(basins):
    best = float(basins.cells.x[4][np.nanargmin(basins.cells.loss[4])])
    edge = replace(
        basins,
        fitted=np.arange(5) < 4,
        edge=np.array([0, 0, 0, 0, 1]),
        low=np.append(basins.low[:4], best - 1),
        high=np.append(basins.high[:4], np.inf),
        flags=(*basins.flags[:4], ("at_edge",)),
    )
    found = optimum(edge, 4, 0.95)
    assert (found.hp.value, found.hp.low, found.hp.high) == pytest.approx(
        (2.0**best, 2.0 ** (best - 1), None)
    )
    lowest = float(np.nanmin(basins.cells.loss[4]))
    assert (found.loss.value, found.loss.low, found.loss.high) == (lowest, None, lowest)
    assert found.curvature.flags == ("at_edge",)
    by_law = replace(edge, by_law=np.append([np.nan] * 4, best + 2.0))
    assert optimal_hp(by_law, 4, 0.95).value == pytest.approx(2.0 ** (best + 2.0))
    assert optimal_hp(by_law, 4, 0.95).flags == ("at_edge", "by_law")
    rejected = replace(edge, edge=np.zeros(5, dtype=int))
    assert optimal_hp(rejected, 4, 0.95).value is None


def test_laws_reach_from_the_smallest_scale_to_the_largest_target(basins):
    for targets, last in (((), 1024.0), ((512.0,), 1024.0), ((2048.0, 8192.0), 8192.0)):
        found = laws_of(basins, laws(basins, "power"), settings(targets), np.random.default_rng(0))
        for law in found.values():
            assert law.scale == pytest.approx(np.geomspace(64.0, last, 17))
            assert (law.low <= law.high).all()


def test_the_power_law_in_the_users_units(basins):
    fitted = laws(basins, "power")
    found = laws_of(basins, fitted, settings(), np.random.default_rng(0))["hp"]
    c, beta = found.parameters["C"].value, found.parameters["beta"].value
    assert found.value == pytest.approx(c * found.scale**-beta)
    assert (found.exponent.value, beta) == pytest.approx((-0.5, 0.5), abs=0.02)
    assert found.exponent.value == -beta
    assert found.aicc == fitted.aicc
    const = laws_of(basins, laws(basins, "const"), settings(), np.random.default_rng(0))["hp"]
    assert const.value == pytest.approx(np.full(17, const.parameters["C"].value))
    assert (const.exponent.value, const.exponent.flags) == (0.0, ("const",))
    assert set(const.parameters) == {"C"}


def test_the_offset_law_in_the_users_units(basins):
    fitted = laws(basins, "offset")
    found = laws_of(basins, fitted, settings(), np.random.default_rng(0))["hp"]
    eta_inf, b, beta = (found.parameters[name].value for name in ("eta_inf", "B", "beta"))
    assert found.value == pytest.approx(eta_inf + b * (found.scale / 64.0) ** -beta)
    stopped = {**fitted.families, "offset": replace(fitted.hp, at_bound=True)}
    bound = laws_of(basins, replace(fitted, families=stopped), settings(), np.random.default_rng(0))["hp"]
    assert "at_bound" in bound.flags
    assert bound.parameters["beta"].flags == ("at_bound",)


def test_the_loss_law_in_the_users_units(basins):
    fitted = laws(basins, "power")
    found = laws_of(basins, fitted, settings(), np.random.default_rng(0))["loss"]
    l_inf, a, alpha = (found.parameters[name].value for name in ("L_inf", "A", "alpha"))
    assert found.value == pytest.approx(l_inf + a * found.scale**-alpha)
    assert found.exponent.value == -alpha
    assert found.flags == ()
    low, high = np.quantile(fitted.loss.draws_at(64.0), [0.025, 0.975])
    assert (found.low[0], found.high[0]) == pytest.approx((low, high), abs=4 * fitted.loss.scatter)
    bound = replace(fitted, loss=replace(fitted.loss, point_at_bound=("A at 0",)))
    assert laws_of(basins, bound, settings(), np.random.default_rng(0))["loss"].flags == ("at_bound",)


def test_the_law_of_the_raw_curvature(basins):
    fitted = laws(basins, "power")
    found = laws_of(basins, fitted, settings(), np.random.default_rng(0))["curvature"]
    eta, h = 2.0 ** fitted.families["power"].at(found.scale), np.exp(fitted.log_curvature.at(found.scale))
    assert found.value == pytest.approx(h / (eta * np.log(2)) ** 2)
    assert found.value == pytest.approx(found.parameters["H0"].value * found.scale**found.exponent.value)
    h0 = found.parameters["H0"]
    assert h0.low < h0.value < h0.high
    eta, h = 2.0 ** fitted.families["power"].draws_at(1.0), np.exp(fitted.log_curvature.draws_at(1.0))
    assert (h0.low, h0.high) == pytest.approx(limits(h / (eta * np.log(2)) ** 2, 0.95))
