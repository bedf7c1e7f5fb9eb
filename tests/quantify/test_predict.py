"""What a prediction's interval holds: the further and the less alike the basins, the wider."""

from __future__ import annotations

import numpy as np
import pytest
from known_sweeps import WIDTHS, from_rows, make

from hptransfer.fit import quantify
from hptransfer.quantify.basin.cells import cells_of
from hptransfer.quantify.basin.fit import fit_basins
from hptransfer.quantify.law.laws import HpLaws, fit_hp_laws
from hptransfer.quantify.law.optimum_law import slope_change_sd
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
