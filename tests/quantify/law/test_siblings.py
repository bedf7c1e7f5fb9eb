"""What other variants' optima say of a slope: their hierarchy by brute force, and who is left out of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known_sweeps import join, make

from hptransfer.fit import quantify
from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.basin.cells import cells_of
from hptransfer.quantify.basin.fit import fit_basins
from hptransfer.quantify.law.optimum_law import fit_line
from hptransfer.quantify.law.scatter import SizePrior, scatters
from hptransfer.quantify.law.siblings import SlopePrior, departures_of, own_slope, slope_priors
from hptransfer.quantify.priors import DEPARTURE

NAN = float("nan")
T = np.log2([64.0, 128.0, 256.0, 512.0])
Y = np.array([-8.0, -8.5, -9.05, -9.45])
SLOPES = [(-0.5, 0.01), (-0.4, 0.02), (-0.55, 0.005), (NAN, NAN), (0.3, 0.04)]


def basins_of(sweep) -> Basins:
    return fit_basins(list(cells_of(sweep)), 2000, 0)[0]


def test_an_own_slope_is_that_of_the_law_about_which_nothing_is_known():
    basins = basins_of(make(noise=0.004, drift=-0.7))
    mean, variance = own_slope(basins)
    line = fit_line(basins.x, basins.x_draws, departures_of(basins), "power", np.random.default_rng(0))
    assert mean == pytest.approx(line.parameters[1], abs=1e-9)
    assert variance == pytest.approx(line.draws[:, 1].var(), rel=0.2)


def test_no_slope_from_two_scales_nor_from_none():
    assert np.isnan(own_slope(basins_of(make(widths=(64.0, 128.0))))).all()
    assert np.isnan(own_slope(None)).all()


def by_brute_force(others: list[tuple[float, float]], zero_sd: float) -> tuple[float, float]:
    """Mean and sd of a new slope over fine grids of mu and log tau, the others' slopes seen."""
    mu = np.linspace(-4.0, 4.0, 4001)[:, None]
    z = np.linspace(-2.0, 2.0, 7)
    tau = DEPARTURE.slope_tau * np.exp(DEPARTURE.slope_tau_log_sd * z)
    log = -0.5 * z**2 - 0.5 * (mu / zero_sd) ** 2
    for mean, variance in others:
        total = variance + tau**2
        log = log - 0.5 * ((mean - mu) ** 2 / total + np.log(total))
    weight = np.exp(log - log.max())
    weight /= weight.sum()
    centre = float((weight * mu).sum())
    return centre, float(np.sqrt((weight * (tau**2 + (mu - centre) ** 2)).sum()))


@pytest.mark.parametrize("i", range(len(SLOPES)))
def test_the_prior_of_a_slope_is_the_hierarchys_by_the_others(i):
    others = [s for j, s in enumerate(SLOPES) if j != i and np.isfinite(s[0])]
    raw = slope_priors(SLOPES, None)[i]
    assert raw is not None
    assert raw.share == DEPARTURE.slope_shared
    assert (raw.mean, raw.sd) == pytest.approx(by_brute_force(others, 1e6), abs=2e-3)
    # In SP coordinates every slope is one less than in muP's, where the table's is near 0.
    in_sp = [(mean - 1.0, variance) for mean, variance in SLOPES]
    known = slope_priors(in_sp, np.ones(len(SLOPES)))[i]
    assert known is not None
    centre, sd = by_brute_force(others, DEPARTURE.slope_mup_sd)
    assert (known.mean, known.sd) == pytest.approx((centre - 1.0, sd), abs=2e-3)


def test_alone_nothing_is_known_but_in_mup_coordinates():
    assert slope_priors([(-0.5, 0.01)], None) == [None]
    assert slope_priors([(-0.5, 0.01), (NAN, NAN)], None)[0] is None
    alone = slope_priors([(-0.5, 0.01)], np.zeros(1))[0]
    assert alone is not None
    assert alone.mean == 0.0
    assert alone.sd > DEPARTURE.slope_mup_sd


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-2, 1), st.floats(1e-4, 0.5)), min_size=2, max_size=8),
    st.floats(-3, 3),
)
def test_a_variants_own_slope_is_not_in_its_prior_and_coordinates_move_all_alike(own, moved):
    priors = slope_priors(own, None)
    other = slope_priors([(own[0][0] + 5.0, own[0][1] * 2), *own[1:]], None)
    assert other[0].mean == pytest.approx(priors[0].mean, abs=1e-6)
    assert other[0].sd == pytest.approx(priors[0].sd, abs=1e-6)
    shifted = slope_priors([(mean + moved, variance) for mean, variance in own], None)
    for a, b in zip(priors, shifted, strict=True):
        assert (b.mean, b.sd) == pytest.approx((a.mean + moved, a.sd), abs=1e-6)


def test_variants_that_agree_say_more_than_ones_that_do_not():
    alike = slope_priors([(-0.5, 0.003)] * 8, None)[0]
    unlike = slope_priors([(-0.5 + 0.4 * (-1) ** i, 0.003) for i in range(8)], None)[0]
    assert alike.sd < DEPARTURE.slope_tau < 0.3 < unlike.sd


def line(slope: SlopePrior | None, y=Y, spread=0.2):
    draws = y + spread * np.random.default_rng(0).standard_normal((20_000, len(y)))
    every = scatters(T, draws, SizePrior(0.05, 0.5, 0.3))
    return fit_line(y, draws, every, "power", np.random.default_rng(1), slope)


def test_a_line_with_a_slope_known_beforehand_has_the_posterior_of_both():
    free = line(None)
    mean, sd = float(free.draws[:, 1].mean()), float(free.draws[:, 1].std())
    for prior in (SlopePrior(-0.2, 0.05, 1 - 1e-12), SlopePrior(-0.45, 0.2, 1 - 1e-12)):
        fit = line(prior)
        precision = sd**-2 + prior.sd**-2
        centre = (mean * sd**-2 + prior.mean * prior.sd**-2) / precision
        assert fit.draws[:, 1].mean() == pytest.approx(centre, abs=0.02)
        assert fit.draws[:, 1].std() == pytest.approx(precision**-0.5, rel=0.12)
        assert fit.parameters[1] == pytest.approx(centre, abs=0.02)


def test_a_slope_that_contradicts_its_prior_is_kept():
    steep = line(SlopePrior(1.5, 0.1, 0.9), spread=0.02)
    assert steep.parameters[1] == pytest.approx(line(None, spread=0.02).parameters[1], abs=0.01)


def test_a_sweeps_predictions_narrow_beside_variants_that_drift_alike():
    target, names = 2048.0, [f"v{i}" for i in range(6)]
    parts = [
        make(variant=v, noise=0.004, drift=-0.4, widths=(64.0, 128.0, 256.0), seed=i)
        for i, v in enumerate(names)
    ]

    def width(fit) -> float:
        found = fit.variants["v0"].predictions[0].hp
        return float(np.log2(found.high / found.low))

    alone, together = (quantify(s, targets=(target,), holdout=0) for s in (parts[0], join(*parts)))
    assert width(together) < 0.9 * width(alone)
