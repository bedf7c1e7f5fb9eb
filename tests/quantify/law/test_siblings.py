"""What other variants' optima say of a slope: their hierarchy by brute force, and who is left out of it."""

from dataclasses import replace

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
from hptransfer.quantify.law.scatter import Departure, SizePrior, scatters
from hptransfer.quantify.law.siblings import OwnLaw, TablePrior, departures_of, own_law, table_priors
from hptransfer.quantify.priors import DEPARTURE

NAN = float("nan")
T = np.log2([64.0, 128.0, 256.0, 512.0])
Y = np.array([-8.0, -8.5, -9.05, -9.45])
SLOPES = [(-0.5, 0.01), (-0.4, 0.02), (-0.55, 0.005), (NAN, NAN), (0.3, 0.04)]


def priors(slopes: list[tuple[float, float]], to_mup: np.ndarray | None) -> list[TablePrior | None]:
    """By slopes alone: nothing is said of sizes."""
    own = [OwnLaw(mean, variance, np.zeros(4)) if np.isfinite(mean) else None for mean, variance in slopes]
    return table_priors(own, to_mup)


def basins_of(sweep) -> Basins:
    return fit_basins(list(cells_of(sweep)), 2000, 0)[0]


def test_an_own_slope_is_that_of_the_law_about_which_nothing_is_known():
    basins = basins_of(make(noise=0.004, drift=-0.7))
    own = own_law(basins)
    assert own is not None
    line = fit_line(basins.x, basins.x_draws, departures_of(basins), "power", np.random.default_rng(0))
    assert own.slope == pytest.approx(line.parameters[1], abs=1e-9)
    assert own.variance == pytest.approx(line.draws[:, 1].var(), rel=0.2)


def test_no_slope_from_two_scales_nor_from_none():
    assert own_law(basins_of(make(widths=(64.0, 128.0)))) is None
    assert own_law(None) is None


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
    raw = priors(SLOPES, None)[i]
    assert raw is not None
    assert raw.share == DEPARTURE.slope_shared
    assert (raw.slope, raw.sd) == pytest.approx(by_brute_force(others, 1e6), abs=2e-3)
    # In SP coordinates every slope is one less than in muP's, where the table's is near 0.
    in_sp = [(mean - 1.0, variance) for mean, variance in SLOPES]
    known = priors(in_sp, np.ones(len(SLOPES)))[i]
    assert known is not None
    centre, sd = by_brute_force(others, DEPARTURE.slope_mup_sd)
    assert (known.slope, known.sd) == pytest.approx((centre - 1.0, sd), abs=2e-3)


def test_alone_nothing_is_known_but_in_mup_coordinates():
    assert priors([(-0.5, 0.01)], None) == [None]
    assert priors([(-0.5, 0.01), (NAN, NAN)], None)[0] is None
    alone = priors([(-0.5, 0.01)], np.zeros(1))[0]
    assert alone is not None
    assert alone.slope == 0.0
    assert alone.sd > DEPARTURE.slope_mup_sd


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-2, 1), st.floats(1e-4, 0.5)), min_size=2, max_size=8),
    st.floats(-3, 3),
)
def test_a_variants_own_slope_is_not_in_its_prior_and_coordinates_move_all_alike(own, moved):
    found = priors(own, None)
    other = priors([(own[0][0] + 5.0, own[0][1] * 2), *own[1:]], None)
    assert other[0].slope == pytest.approx(found[0].slope, abs=1e-6)
    assert other[0].sd == pytest.approx(found[0].sd, abs=1e-6)
    shifted = priors([(mean + moved, variance) for mean, variance in own], None)
    for a, b in zip(found, shifted, strict=True):
        assert (b.slope, b.sd) == pytest.approx((a.slope + moved, a.sd), abs=1e-6)


def test_variants_that_agree_say_more_than_ones_that_do_not():
    alike = priors([(-0.5, 0.003)] * 8, None)[0]
    unlike = priors([(-0.5 + 0.4 * (-1) ** i, 0.003) for i in range(8)], None)[0]
    assert alike.sd < DEPARTURE.slope_tau < 0.3 < unlike.sd


def line(others: TablePrior | None, y=Y, spread=0.2):
    draws = y + spread * np.random.default_rng(0).standard_normal((20_000, len(y)))
    every = scatters(T, draws, Departure(SizePrior(0.05, 0.5, 0.3)))
    return fit_line(y, draws, every, "power", np.random.default_rng(1), others)


def test_a_line_with_a_slope_known_beforehand_has_the_posterior_of_both():
    free = line(None)
    mean, sd = float(free.draws[:, 1].mean()), float(free.draws[:, 1].std())
    for prior in (TablePrior(-0.2, 0.05, 1 - 1e-12), TablePrior(-0.45, 0.2, 1 - 1e-12)):
        fit = line(prior)
        precision = sd**-2 + prior.sd**-2
        centre = (mean * sd**-2 + prior.slope * prior.sd**-2) / precision
        assert fit.draws[:, 1].mean() == pytest.approx(centre, abs=0.02)
        assert fit.draws[:, 1].std() == pytest.approx(precision**-0.5, rel=0.12)
        assert fit.parameters[1] == pytest.approx(centre, abs=0.02)


def test_a_slope_that_contradicts_its_prior_is_kept():
    steep = line(TablePrior(1.5, 0.1, 0.9), spread=0.02)
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


def test_sizes_count_as_those_of_one_variant_and_a_variants_own_do_not() -> None:
    rng = np.random.default_rng(0)
    own = [OwnLaw(-0.5, 0.01, rng.standard_normal(5)) for _ in range(3)] + [None]
    found = table_priors(own, None)
    for i, prior in enumerate(found):
        rest = np.mean([o.sizes for j, o in enumerate(own) if o is not None and j != i], axis=0)
        assert prior.sizes - prior.sizes[0] == pytest.approx(DEPARTURE.sizes_shared * (rest - rest[0]))
    assert table_priors(own[:1], np.zeros(1))[0].sizes is None


def test_steady_variants_make_another_steady_and_unsteady_ones_do_not():
    def wander(offs: float) -> float:
        sweeps = [
            make(
                variant=f"v{i}",
                noise=0.002,
                drift=-0.4,
                widths=tuple(64.0 * 2.0**k for k in range(6)),
                seed=i,
            )
            for i in range(3)
        ]
        rng = np.random.default_rng(0)
        for k in range(1, 3):  # the other variants' optima walk
            walk = dict(
                zip(np.unique(sweeps[k].scale), np.cumsum(offs * rng.standard_normal(6)), strict=True)
            )
            moved = sweeps[k].hp * 2.0 ** np.array([walk[n] for n in sweeps[k].scale])
            sweeps[k] = replace(sweeps[k], hp=moved)
        fitted = fit_basins(list(cells_of(join(*sweeps))), 500, 0)
        prior = table_priors([own_law(b) for b in fitted], None)[0]
        every = departures_of(fitted[0], prior.sizes)
        return float(np.exp(every.log_prior) @ every.wander)

    assert wander(0.0) < 0.6 * wander(0.5)
