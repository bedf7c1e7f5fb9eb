"""Metrics and what they are made of: exponents, the lower envelope, the near-optimal band."""

import numpy as np
import pytest
from known_sweeps import join, make

import hptransfer as hpt
from hptransfer.quantify.basin.cells import cells_of
from hptransfer.quantify.basin.fit import fit_basins
from hptransfer.quantify.comparison_metrics import near_optimal_bands, sensitivity
from hptransfer.quantify.exponents import exponents
from hptransfer.quantify.law.laws import fit_laws
from hptransfer.quantify.metrics import METRICS
from hptransfer.quantify.reference import Reference, lower_envelope, penalty_at_infinity, reference_of


@pytest.fixture(scope="module")
def basins():
    sweep = make(widths=(64.0, 128.0, 256.0, 512.0, 1024.0), noise=0.002)
    return fit_basins(list(cells_of(sweep)), 200, 0)[0]


@pytest.fixture(scope="module")
def laws(basins):
    return fit_laws(basins, None, np.random.default_rng(0))


def test_every_metric_of_a_fit_is_registered_with_its_meaning():
    two = join(make(variant="a", noise=0.002), make(variant="b", noise=0.002, seed=1))
    fit = hpt.quantify(two, coordinates="sp", draws=100)
    for variant in fit.variants.values():
        assert set(variant.metrics) == set(METRICS)
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.label
        assert metric.definition.endswith((".", ")")), name


def test_metrics_that_do_not_apply_are_left_out():
    fit = hpt.quantify(make(noise=0.002, widths=(64.0, 128.0)), draws=100)
    metrics = fit.variants["v"].metrics
    assert {"drift_sp", "drift_mup", "bend", "beta_offset"}.isdisjoint(metrics)
    assert metrics["kappa"].flags == ("no_laws",)
    assert metrics["R_inf"].flags == ("no_laws",)


def test_kappa_is_alpha_less_twice_beta_plus_gamma(laws):
    found = exponents(laws)
    kappa = found.kappa(found.beta)
    assert kappa.value == pytest.approx(found.alpha.value - 2 * found.beta.value + found.gamma.value)
    assert kappa.draws == pytest.approx(found.alpha.draws - 2 * found.beta.draws + found.gamma.draws)
    assert found.beta.value == -found.drift.value
    # With beta of the power family, 2 beta cancels but for the exponent of the log curvature.
    slope = laws.log_curvature.parameters[1] / np.log(2)
    assert kappa.value == pytest.approx(found.alpha.value + slope)


def part(scale, loss, draws):
    return Reference(np.array(scale), np.array(loss), np.array(draws))


def test_the_lower_envelope_is_the_best_loss_of_each_scale_and_draw():
    one = part([64.0, 128.0], [3.0, 2.0], [[3.1, 2.0], [2.9, 2.2]])
    other = part([128.0, 256.0], [2.1, 1.5], [[1.9, 1.5], [2.3, 1.6]])
    found = lower_envelope([one, None, other])
    assert found.scale.tolist() == [64.0, 128.0, 256.0]
    assert found.loss.tolist() == [3.0, 2.0, 1.5]
    assert found.draws.tolist() == [[3.1, 1.9, 1.5], [2.9, 2.2, 1.6]]
    assert found.law is None
    assert lower_envelope([one]).with_law().law is None  # two scales are too few
    assert lower_envelope([None, part([], [], np.zeros((2, 0)))]) is None


def test_an_envelope_of_envelopes_is_that_of_all(basins):
    own = reference_of(basins)
    halves = [part(own.scale[i], own.loss[i], own.draws[:, i]) for i in (slice(0, 3), slice(2, 5))]
    joined = lower_envelope([lower_envelope(halves[:1]), lower_envelope(halves[1:])])
    assert joined.loss.tolist() == own.loss.tolist()
    assert np.array_equal(joined.draws, own.draws)


def test_a_variant_measured_from_itself_has_no_penalty(basins, laws):
    found = penalty_at_infinity(laws, reference_of(basins).with_law(), 0.95)
    assert (found.estimate.value, found.estimate.low, found.estimate.high) == (0.0, 0.0, 0.0)


def test_the_band_is_where_the_loss_is_within_a_quarter_per_cent(basins):
    width = near_optimal_bands(basins, 0.95).width.estimate.value
    k, half = len(basins.fitted) - 1, np.linspace(-3, 3, 6001)
    inside = half[basins.excess_at(k, basins.x[k] + half) <= 0.0025 * basins.loss[k]]
    assert width == pytest.approx(inside[-1] - inside[0], rel=0.02)


def test_the_sensitivity_counts_no_more_than_the_initial_loss(basins):
    low = sensitivity(basins, float(basins.loss[-1]) + 0.01, 0.95).estimate
    assert 0.0 < low.value < 0.01
    assert "initial_loss_unknown" in sensitivity(basins, None, 0.95).estimate.flags
