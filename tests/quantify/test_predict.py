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
from hptransfer.quantify.law.scatter import slope_change_sd
from hptransfer.quantify.predict import optimum_draws
from hptransfer.quantify.priors import LAW
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


def test_a_change_of_slope_needs_basins_that_differ() -> None:
    assert slope_change_sd(0.0) == 0.0
    assert (
        slope_change_sd(0.01)
        < 0.002
        < 0.05
        < slope_change_sd(0.13)
        < slope_change_sd(0.5)
        < LAW.slope_change_sd
    )
    assert laws_of(make(noise=0.002)).slope_change_sd < 0.01
    assert laws_of(unlike()).slope_change_sd > 0.05


def test_a_change_of_slope_begins_at_the_largest_scale() -> None:
    laws = laws_of(unlike())
    without = HpLaws(**{**vars(laws), "slope_change_sd": 0.0})
    spread = {
        name: [
            float(optimum_draws(law, n, np.random.default_rng(1)).std())
            for n in (64.0, 512.0, 1024.0, 4096.0)
        ]
        for name, law in (("with", laws), ("without", without))
    }
    extra = np.sqrt(np.square(spread["with"]) - np.square(spread["without"]))
    assert extra[:2] == pytest.approx([0.0, 0.0], abs=1e-9)
    assert extra[2:] == pytest.approx([laws.slope_change_sd, 3 * laws.slope_change_sd], rel=0.1)


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
    candidates, cost = predict_module._expected_regret(basins, laws, x, steep, -9.0)
    assert candidates[[0, -1]] == pytest.approx([-9.06, -8.97])
    assert cost[[0, -1]] == pytest.approx([10.0, 10.0])
    # Runs diverged one octave right of every optimum: beyond that a value costs a nat more.
    censored = basins.cells.x > basins.x[:, None] + 1.0
    walled = replace(basins, cells=replace(basins.cells, censored=censored))
    flat, wide = np.full(400, -40.0), np.random.default_rng(0).uniform(-12.0, -6.0, 400)
    candidates, cost = predict_module._expected_regret(walled, laws, wide, flat, -9.0)
    edge = min(walled.divergence_edge(k) - walled.x[k] for k in range(len(walled.x)))
    beyond = (candidates[:, None] > wide[None] + edge).mean(axis=1)
    assert cost == pytest.approx(beyond, abs=1e-6)
    assert 0.0 < beyond[-1] <= 1.0
