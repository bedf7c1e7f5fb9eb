"""SweepTable made from known laws give those laws back."""

import numpy as np
import pytest
from known_sweeps import WIDTHS, join, make

from hptransfer import compare, quantify

SIX = (32.0, *WIDTHS, 1024.0)


def holds(estimate, truth) -> bool:
    return estimate.low <= truth <= estimate.high


@pytest.fixture(scope="module")
def pair():
    good = make(variant="good", widths=SIX, noise=0.002, seeds=2, seed=1)
    bad = make(variant="bad", widths=SIX, noise=0.002, seeds=2, loss=(3.1, 1.0, 0.5), seed=2)
    return quantify(join(good, bad), reference="good")


def test_exponents_and_kappa(pair):
    metrics = pair.variants["good"].metrics
    assert metrics["alpha"].value == pytest.approx(0.5, abs=0.03)
    # The basin keeps its shape in octaves, so the raw curvature grows as eta*^-2: gamma = -2 x drift.
    assert metrics["gamma"].value == pytest.approx(1.0, abs=0.1)
    assert metrics["kappa"].value == pytest.approx(0.5, abs=0.1)
    for name, truth in (("alpha", 0.5), ("gamma", 1.0), ("kappa", 0.5), ("drift", -0.5)):
        assert holds(metrics[name], truth), name


def test_penalty_of_a_variant(pair):
    metrics = pair.variants["bad"].metrics
    assert holds(metrics["R_inf"], 0.1)
    assert metrics["R_inf"].value == pytest.approx(0.1, abs=0.05)
    assert metrics["R_n"].value == pytest.approx(0.1, abs=0.004)
    assert holds(metrics["R_n"], 0.1)
    assert pair.variants["good"].metrics["R_inf"].value == 0.0


def test_e_is_the_noise_where_the_surface_is_exact(pair):
    mean_of_two = 0.002**2 / 2
    for variant in pair.variants.values():
        assert mean_of_two / 3 < variant.metrics["E"].value < 6 * mean_of_two


def test_compare_is_the_difference_of_the_metrics(pair):
    differences = compare(pair, "bad", "good")
    for name, difference in differences.items():
        one, other = (pair.variants[v].metrics[name].value for v in ("bad", "good"))
        assert difference.value == pytest.approx(one - other)
    assert holds(differences["R_n"], 0.1)
    assert differences["R_n"].low > 0.05


def test_noise_that_variants_share_cancels_in_their_difference():
    def width(seed_of_b: int) -> float:
        a = make(variant="a", noise=0.006, seed=5)
        b = make(variant="b", noise=0.006, loss=(3.05, 1.0, 0.5), seed=seed_of_b)
        found = compare(quantify(join(a, b), holdout=0, reference="a"), "b", "a")["sensitivity"]
        return found.high - found.low

    assert width(5) < 0.75 * width(6)


def test_regret_of_a_stale_value():
    fit = quantify(make(noise=0.001)).variants["v"]
    pair = next(r for r in fit.regret if (r.source, r.to) == (64.0, 512.0))
    # 1.5 octaves off in a parabola of curvature 0.08 nats per octave squared.
    assert pair.regret.value == pytest.approx(0.5 * 0.08 * 1.5**2, rel=0.1)
    # L - L_inf falls from 1 at 64 like (n / 64)^-0.5: where is it as far from L_inf as with the regret?
    gap = 8.0**-0.5
    assert pair.factor.value == pytest.approx(((gap + pair.regret.value) / gap) ** 2, rel=0.1)


def test_band_of_a_parabola():
    fit = quantify(make(noise=0.0005, drift=0.0)).variants["v"]
    level = 3.0 + 8.0**-0.5
    assert fit.metrics["band"].value == pytest.approx(2 * np.sqrt(2 * 0.0025 * level / 0.08), rel=0.06)
    assert fit.metrics["band_overlap"].value > 0.7
    assert fit.metrics["argmin_equality"].value == 1.0


def test_verdicts():
    still = quantify(make(drift=0.0, noise=0.001)).variants["v"]
    moving = quantify(make(drift=-1.0, noise=0.001, grid=np.arange(-14.0, -4.0, 0.5))).variants["v"]
    assert still.verdict.value == "invariant"
    assert moving.verdict.value == "predictable"


def test_law_that_breaks_is_unpredictable():
    jump = make(widths=(64.0, 128.0, 256.0), drift=0.0, noise=0.001)
    far = make(widths=(512.0,), x0=-11.0, noise=0.001, loss=(3.0, 0.35, 0.5))
    fit = quantify(join(jump, far)).variants["v"]
    assert fit.verdict.value == "unpredictable"
    assert fit.holdouts[0].covered is False


def test_offset_family_returns_its_limit():
    parts = []
    for n in (32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0):
        star = -7.0 + np.log2(1 + 3.0 * (n / 32.0) ** -1.0)
        parts.append(make(widths=(n,), x0=star, noise=0.0005, loss=(3.0, (n / 32) ** -0.5, 0.5),
                          grid=np.arange(-10.0, -2.0, 0.5)))  # fmt: skip
    fit = quantify(join(*parts)).variants["v"]
    assert fit.laws["hp"].family == "offset"
    eta_inf = fit.laws["hp"].parameters["eta_inf"]
    assert np.log2(eta_inf.value) == pytest.approx(-7.0, abs=0.15)
    assert "bend" in fit.laws["hp"].flags


def test_forced_family_is_used():
    for family in ("const", "power", "offset"):
        assert quantify(make(noise=0.002), family=family).variants["v"].laws["hp"].family == family


def test_recommended_value_stays_clear_of_the_cliff():
    def cliff(u):
        return np.where(u < 1.2, 0.04 * u**2 * np.exp(0.5 * u), np.nan)

    grid = np.arange(-13.0, -4.0, 0.5)
    fit = quantify(make(noise=0.006, shape=cliff, grid=grid), targets=(4096.0,)).variants["v"]
    prediction = fit.predictions[0]
    assert prediction.hp_recommended < prediction.hp.value


def test_long_extrapolation_is_flagged():
    fit = quantify(make(noise=0.002), targets=(1024.0, 8192.0)).variants["v"]
    assert "long_extrapolation" not in fit.predictions[0].flags
    assert "long_extrapolation" in fit.predictions[1].flags
