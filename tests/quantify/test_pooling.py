"""Optima pooled towards their law: what moves, what must not, and what the law is protected from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known_sweeps import from_rows, make

from hptransfer.fit import quantify
from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.basin.cells import cells_of
from hptransfer.quantify.basin.fit import fit_basins
from hptransfer.quantify.law.laws import fit_laws
from hptransfer.quantify.law.optimum_law import fit_line
from hptransfer.quantify.law.scatter import Departure, SizePrior, scatters
from hptransfer.quantify.pooling import pooled

T = np.arange(5.0)


def basins_of(**options) -> Basins:
    return fit_basins(list(cells_of(make(**options))), 400, 0)[0]


def line(y: np.ndarray, own: float, prior: float = 0.01):
    rng = np.random.default_rng(0)
    draws = y + own * rng.standard_normal((2000, len(y)))
    every = scatters(T[: len(y)], draws, Departure(SizePrior(prior, 0.8, 0.2)))
    return fit_line(y, draws, every, "power", rng)


def test_pooling_brings_noisy_optima_nearer_to_a_law_that_holds() -> None:
    errors: dict[str, list[float]] = {"own": [], "pooled": []}
    for seed in range(12):
        own = basins_of(noise=0.008, widths=(32.0, 64.0, 128.0, 256.0, 512.0), seed=seed)
        truth = -8.3 - 0.5 * T
        laws = fit_laws(own, None, np.random.default_rng(1))
        both = {"own": own, "pooled": pooled(own, laws, np.random.default_rng(2))}
        for name, basins in both.items():
            errors[name] += list(basins.x - truth)
    rms = {name: float(np.sqrt(np.mean(np.square(e)))) for name, e in errors.items()}
    assert rms["pooled"] < 0.9 * rms["own"]


def test_an_optimum_off_the_law_stays_there() -> None:
    rows = []
    for k, n in enumerate((32.0, 64.0, 128.0, 256.0, 512.0)):
        star = -8.3 - 0.5 * k + (0.6 if k == 2 else 0.0)
        part = make(widths=(n,), x0=star, noise=0.001, seed=k)
        rows += [("v", n, h, "0", y) for h, y in zip(part.hp, part.loss, strict=True)]
    fit = quantify(from_rows(rows), draws=400, holdout=0).variants["v"]
    assert np.log2(fit.optima[2].hp.value) == pytest.approx(-8.7, abs=0.1)
    assert fit.metrics["drift"].value == pytest.approx(-0.5, abs=0.06)


@settings(max_examples=20, deadline=None)
@given(shift=st.floats(-3, 3), slope=st.floats(-1, 1))
def test_a_law_moves_with_its_optima(shift: float, slope: float) -> None:
    y = np.array([0.02, -0.03, 0.01, 0.03, -0.02])
    here, there = line(y, 0.03), line(y + shift + slope * T, 0.03)
    assert there.parameters[1] - here.parameters[1] == pytest.approx(slope, abs=1e-6)
    assert there.at(2.0**7) - here.at(2.0**7) == pytest.approx(shift + 7 * slope, abs=1e-5)
    assert there.scatter == pytest.approx(here.scatter, rel=1e-3)


def test_one_scale_far_off_does_not_turn_the_law() -> None:
    y = -0.5 * T
    y[-1] += 0.6
    law = line(y, 0.02)
    assert law.parameters[1] == pytest.approx(-0.5, abs=0.05)
    assert np.mean(law.off == 4) > 0.9


def test_an_error_that_scales_share_widens_the_law_and_does_not_move_it() -> None:
    rng = np.random.default_rng(0)
    y = np.array([0.0, -0.52, -0.98, -1.51, -2.0])
    common = rng.standard_normal((4000, 1)) * np.linspace(0.25, 0.35, 5)
    draws = y + common + 0.01 * rng.standard_normal((4000, 5))
    law = fit_line(y, draws, scatters(T, draws, Departure(SizePrior(0.01, 0.8, 0.2))), "power", rng)
    assert law.at(1.0) == pytest.approx(0.0, abs=0.02)  # not where cancelling the common error would put it
    assert law.draws_at(1.0).std() == pytest.approx(0.25, rel=0.1)


def test_an_optimum_at_an_edge_is_where_the_law_puts_it() -> None:
    rows = []
    for k, n in enumerate((32.0, 64.0, 128.0, 256.0, 512.0)):
        grid = np.arange(-13.0, -10.5) if k == 4 else np.arange(-13.0, -5.0)
        part = make(widths=(n,), x0=-8.3 - 0.5 * k, grid=grid, noise=0.001, seed=k)
        rows += [("v", n, h, "0", y) for h, y in zip(part.hp, part.loss, strict=True)]
    optimum = quantify(from_rows(rows), draws=400, holdout=0).variants["v"].optima[4]
    assert {"at_edge", "by_law"} <= set(optimum.hp.flags)
    assert np.log2(optimum.hp.value) == pytest.approx(-10.3, abs=0.15)
    assert np.log2(optimum.hp.low) == pytest.approx(-12.0)
    assert optimum.hp.high is None
