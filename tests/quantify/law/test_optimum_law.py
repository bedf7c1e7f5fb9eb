"""Straight lines, constants and offset laws through optima with known answers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hptransfer.quantify.law.optimum_law import FRACTIONS, RATES, LineFit, fit_bend, fit_line, fit_offset
from hptransfer.quantify.law.scatter import Departure, Scatters, SizePrior, scatters
from hptransfer.quantify.priors import LAW

T = np.array([5.0, 6.0, 7.0, 8.0, 9.0])
NONE = SizePrior(0.0, 1.0, 1.0)
TINY = SizePrior(1e-4, 1.0, 0.5)


def draws_of(y: np.ndarray, sd: float, count: int = 2000, seed: int = 0) -> np.ndarray:
    return y + sd * np.random.default_rng(seed).standard_normal((count, len(y)))


def line(
    y: np.ndarray, sd: float, family: str = "power", prior: SizePrior = NONE, wander: SizePrior = NONE
) -> LineFit:
    t, draws = T[: len(y)], draws_of(y, sd)
    return fit_line(y, draws, scatters(t, draws, Departure(prior, wander)), family, np.random.default_rng(1))


@given(level=st.floats(-12, 0), slope=st.floats(-1, 1))
def test_a_line_without_noise_is_found_again(level: float, slope: float) -> None:
    fit = line(level + slope * (T - 7.0), 1e-4)
    assert fit.origin == 7.0
    assert fit.parameters == pytest.approx([level, slope], abs=1e-6)
    assert fit.at(2.0**10) == pytest.approx(level + 3 * slope, abs=1e-6)
    assert fit.at(np.exp2(T)) == pytest.approx(level + slope * (T - 7.0), abs=1e-6)


def test_errors_of_a_line_are_those_of_least_squares() -> None:
    fit = line(-0.5 * T, 0.1)
    assert fit.draws[:, 0].std() == pytest.approx(0.1 / np.sqrt(5), rel=0.06)
    assert fit.draws[:, 1].std() == pytest.approx(0.1 / np.sqrt(10), rel=0.06)  # sum of (t - mean)^2 is 10
    # Of the residuals, which are 0: their covariance's log determinant alone is left.
    assert fit.log_likelihood == pytest.approx(-0.5 * 5 * np.log(0.01), rel=0.02)


def test_a_constant_is_the_mean() -> None:
    y = np.array([0.0, 0.1, -0.1, 0.2, -0.2])
    fit = line(y, 0.1, "const")
    assert fit.parameters == pytest.approx([0.0], abs=0.01)
    assert fit.at(np.array([1.0, 1e9])) == pytest.approx([fit.parameters[0]] * 2)
    assert fit.draws_at(np.array([1.0, 1e9])).shape == (2, 2000)
    power = line(y, 0.1)
    assert power.log_likelihood > fit.log_likelihood


def test_draws_scatter_by_the_size_that_each_takes_for_true() -> None:
    y = -0.5 * T + np.array([0.3, -0.3, 0.3, -0.3, 0.3])
    fit = line(y, 0.01, prior=SizePrior(0.3, 0.8, 0.1))
    assert 0.15 < fit.scatter < 0.6
    assert fit.scatter == pytest.approx(fit.scatter_draws.mean(), rel=0.1)
    assert fit.draws[:, 1].std() == pytest.approx(fit.scatter / np.sqrt(10), rel=0.4)


def test_a_subset_takes_rows_and_their_mean() -> None:
    fit, index = line(-0.5 * T, 0.1), np.array([3, 3, 7])
    some = fit.subset(index)
    assert np.array_equal(some.draws, fit.draws[index])
    assert some.parameters == pytest.approx(fit.draws[index].mean(axis=0))
    assert np.array_equal(some.scatter_draws, fit.scatter_draws[index])
    assert np.array_equal(some.wander_draws, fit.wander_draws[index])
    assert np.array_equal(some.off, fit.off[index])


def test_a_law_that_turns_is_less_known_ahead_than_one_that_scatters_as_much() -> None:
    """Optima that walked: the turning that draws take for true is the walk's, and it widens the slope."""
    y = np.array([0.0, 0.3, 0.65, 0.4, 0.8])
    still = line(y, 0.02, prior=SizePrior(0.2, 0.8, 0.2))
    walked = line(y, 0.02, wander=SizePrior(0.2, 0.8, 0.2))
    assert (still.wander_draws == 0).all()
    assert 0.1 < np.median(walked.wander_draws) < 0.7
    # A line through a random walk: the slope errs by far more than the same optima scattered would have it.
    assert walked.draws[:, 1].std() > 1.2 * still.draws[:, 1].std()


@pytest.mark.parametrize("family", ["const", "power"])
def test_a_level_as_wide_as_can_be_and_a_slope_of_one_octave_an_octave_are_behind_the_evidence(
    family: str,
) -> None:
    """By another road: the density of the optima under a normal with wide priors on level and slope."""
    y, wide, steep = np.array([0.05, -0.02, 0.04, -0.08, 0.01]), 300.0, 30.0
    draws = draws_of(y, 0.05)
    every = scatters(T, draws, Departure(SizePrior(0.06, 0.7, 0.2), SizePrior(0.1, 0.7, 0.3), steady=0.1))
    fit = fit_line(y, draws, every, family, np.random.default_rng(0))
    u = T - T.mean()
    law = wide**2 + (np.outer(u, u) * steep**2 if family == "power" else 0.0)
    total = np.linalg.inv(every.inverse) + law
    chi2 = np.einsum("k,skl,l->s", y, np.linalg.inv(total), y)
    log = every.log_prior - 0.5 * (chi2 + np.linalg.slogdet(total)[1])
    density = log.max() + np.log(np.exp(log - log.max()).sum())
    expected = density + np.log(wide) + (np.log(steep / LAW.slope_sd) if family == "power" else 0.0)
    assert fit.evidence == pytest.approx(expected, abs=1e-3)


@given(level=st.floats(-9, 0), slope=st.floats(-1, 1))
def test_evidence_of_a_line_is_the_same_at_every_level_and_slope(level: float, slope: float) -> None:
    y = np.array([0.05, -0.02, 0.04, -0.08, 0.01])
    every = fixed_scatters(y)
    rng = np.random.default_rng
    here = fit_line(y, draws_of(y, 0.05), every, "power", rng(0))
    there = y + level + slope * (T - 7.0)
    moved = fit_line(there, draws_of(there, 0.05), every, "power", rng(0))
    assert moved.evidence == pytest.approx(here.evidence, abs=1e-6)
    assert moved.draws == pytest.approx(here.draws + np.array([level, slope]), abs=1e-6)


def fixed_scatters(y: np.ndarray) -> Scatters:
    return scatters(T, draws_of(y, 0.05), Departure(SizePrior(0.06, 0.7, 0.2), SizePrior(0.1, 0.7, 0.3)))


@pytest.mark.parametrize(("rate", "fraction"), [(RATES[6], FRACTIONS[18]), (RATES[10], FRACTIONS[4])])
def test_an_offset_law_on_its_grid_is_found_again(rate: float, fraction: float) -> None:
    y = -7.0 + np.log2(1 + fraction * np.exp2(-rate * (T - 5.0)))
    draws = draws_of(y, 1e-3, 300)
    power = fit_line(y, draws, scatters(T, draws, Departure(NONE)), "power", np.random.default_rng(0))
    fit = fit_offset(T, y, draws, power, TINY)
    assert fit.parameters == pytest.approx([-7.0, rate, fraction], abs=1e-6)
    assert fit.at(32.0) == pytest.approx(-7.0 + np.log2(1 + fraction))
    assert fit.at(1e30) == pytest.approx(-7.0, abs=1e-3)
    assert fit.flags == ()
    assert fit.scatter <= power.scatter
    assert fit.scatter_draws.max() <= fit.scatter
    assert fit.log_likelihood > power.log_likelihood


def test_an_offset_law_at_an_end_of_its_grid_says_so() -> None:
    y = -7.0 + np.log2(1 + 200.0 * np.exp2(-0.4 * (T - 5.0)))  # B / eta_inf beyond the grid
    draws = draws_of(y, 1e-3, 300)
    power = fit_line(y, draws, scatters(T, draws, Departure(NONE)), "power", np.random.default_rng(0))
    assert fit_offset(T, y, draws, power, TINY).flags == ("at_bound",)


def test_the_offsets_grid() -> None:
    assert RATES[[0, -1]] == pytest.approx([0.15, 4.0])
    assert RATES[1:] / RATES[:-1] == pytest.approx((4.0 / 0.15) ** (1 / 16))
    assert FRACTIONS[[0, 9, 10, -1]] == pytest.approx([-0.95, -0.03, 0.03, 30.0])
    assert len(FRACTIONS) == 25


def test_the_bend_is_the_second_derivative() -> None:
    y = 2.0 - 0.5 * T + 0.5 * 0.12 * T**2
    found = fit_bend(T, y, draws_of(y, 0.01), 0.03, np.random.default_rng(5))
    assert found is not None
    assert found[0] == pytest.approx(0.12)
    # Of second differences over 5 equal steps: 2 / sqrt(14) of the sd of one optimum.
    assert found[1].std() == pytest.approx(np.hypot(0.01, 0.03) * 2 / np.sqrt(14), rel=0.06)
    assert fit_bend(T[:3], y[:3], draws_of(y[:3], 0.01), 0.03, np.random.default_rng(0)) is None
