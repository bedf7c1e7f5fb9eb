"""What a prediction's interval holds: the further and the less alike the basins, the wider."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from known_sweeps import WIDTHS, from_rows, make

from hptransfer.fit import quantify
from hptransfer.quantify import predict as predict_module
from hptransfer.quantify.basin.cells import cells_of
from hptransfer.quantify.basin.fit import fit_basins
from hptransfer.quantify.law.laws import HpLaws, fit_hp_laws, fit_laws
from hptransfer.quantify.predict import optimum_at, optimum_draws
from hptransfer.sweep.table import SweepTable


def laws_of(sweep: SweepTable) -> HpLaws:
    basins = fit_basins(list(cells_of(sweep)), 4000, 0)[0]
    laws = fit_hp_laws(basins, "power", np.random.default_rng(0))
    assert laws is not None
    return laws


def unlike() -> SweepTable:
    """Four basins on a law, each tilted otherwise."""
    rows = []
    for k, n in enumerate(WIDTHS):
        for x in np.arange(-13.0, -3.0, 0.5):
            u = x + 8.3 + 0.5 * k
            tilt = (0.5, -0.5, 0.6, -0.4)[k]
            rows.append(
                ("v", n, 2.0**x, "0", 3.0 - 0.1 * k + 0.04 * u * u * float(np.exp(tilt * np.tanh(u))))
            )
    return from_rows(rows)


def with_departures(laws: HpLaws, scatter: float, wander: float) -> HpLaws:
    """The laws where every draw takes these sizes for true."""
    every = np.ones(len(laws.hp.draws))
    families = {
        name: replace(fit, scatter_draws=scatter * every, wander_draws=wander * every)
        for name, fit in laws.families.items()
    }
    return replace(laws, families=families)


def test_basins_that_differ_make_the_law_less_certain() -> None:
    spread = [float(optimum_draws(laws_of(sweep), 1024.0, np.random.default_rng(1)).std())
              for sweep in (make(noise=0.002, grid=np.arange(-13.0, -3.0, 0.5)), unlike())]  # fmt: skip
    assert spread[1] > 1.5 * spread[0]


def test_the_law_turns_from_the_largest_scale_on_and_scatters_everywhere() -> None:
    laws, scales = laws_of(unlike()), (64.0, 512.0, 1024.0, 8192.0)
    parts = {"law": (0.0, 0.0), "scatter": (0.2, 0.0), "turns": (0.0, 0.3)}
    spread = {
        name: np.array(
            [optimum_draws(with_departures(laws, *sizes), n, np.random.default_rng(1)).var() for n in scales]
        )
        for name, sizes in parts.items()
    }
    assert spread["scatter"] - spread["law"] == pytest.approx(np.full(4, 0.04), rel=0.1)
    # A random walk: its variance grows as the octaves beyond the largest scale, 0 and 0, then 1 and 4.
    turns = spread["turns"] - spread["law"]
    assert turns[:2] == pytest.approx([0.0, 0.0], abs=1e-12)
    assert turns[2:] == pytest.approx(0.09 * np.array([1.0, 4.0]), rel=0.1)


def test_a_prediction_is_made_by_both_laws_where_neither_is_known_to_be_right() -> None:
    laws = with_departures(laws_of(make(noise=0.002)), 0.0, 0.0)
    power, const = (laws.families[name].at(2048.0) for name in ("power", "const"))
    assert abs(power - const) > 1
    for share in (0.0, 0.3, 1.0):
        both = replace(laws, mixture={"const": 1 - share, "power": share})
        assert optimum_at(both, 2048.0) == pytest.approx(share * power + (1 - share) * const)
        x = optimum_draws(both, 2048.0, np.random.default_rng(2))
        assert np.mean(np.abs(x - power) < np.abs(x - const)) == pytest.approx(share, abs=0.03)


def test_many_scales_at_once_are_each_alone() -> None:
    laws = laws_of(unlike())
    together = optimum_draws(laws, np.array([256.0, 2048.0]), np.random.default_rng(2))
    for row, n in zip(together, (256.0, 2048.0), strict=True):
        assert np.array_equal(row, optimum_draws(laws, n, np.random.default_rng(2)))


def test_intervals_widen_with_distance() -> None:
    fit = quantify(make(noise=0.003), targets=(1024.0, 4096.0, 65536.0)).variants["v"]
    widths = [np.log2(p.hp.high / p.hp.low) for p in fit.predictions]
    assert widths == sorted(widths)
    assert "long_extrapolation" in fit.predictions[-1].flags


def test_a_prediction_beyond_eight_times_the_largest_scale_is_flagged() -> None:
    fit = quantify(make(noise=0.002), targets=(8.0 * WIDTHS[-1], 8.1 * WIDTHS[-1]), draws=100)
    near, far = (p.flags for p in fit.variants["v"].predictions)
    assert "long_extrapolation" not in near
    assert "long_extrapolation" in far


def test_a_diverged_run_costs_a_nat_and_no_draw_more_than_ten() -> None:
    basins = fit_basins(list(cells_of(make(noise=0.002))), 400, 0)[0]
    laws = fit_laws(basins, "power", np.random.default_rng(0))
    assert laws is not None
    steep = np.full(400, 40.0)  # log curvature: any distance costs more than can be
    x = np.full(400, -9.0)
    shape = basins.shape_draws[laws.index]
    candidates, cost = predict_module.expected_regret(basins, shape, x, steep, -9.0)
    assert candidates[[0, -1]] == pytest.approx([-9.06, -8.97])
    assert cost[[0, -1]] == pytest.approx([10.0, 10.0])
    # Runs diverged one octave right of every optimum: beyond that a value costs a nat more.
    censored = basins.cells.x > basins.x[:, None] + 1.0
    walled = replace(basins, cells=replace(basins.cells, censored=censored))
    flat, wide = np.full(400, -40.0), np.random.default_rng(0).uniform(-12.0, -6.0, 400)
    candidates, cost = predict_module.expected_regret(walled, shape, wide, flat, -9.0)
    edge = min(walled.divergence_edge(k) - walled.x[k] for k in range(len(walled.x)))
    beyond = (candidates[:, None] > wide[None] + edge).mean(axis=1)
    assert cost == pytest.approx(beyond, abs=1e-6)
    assert 0.0 < beyond[-1] <= 1.0
