"""What is thought beforehand of how scales lie off their law: each by itself, or the law turning."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hptransfer.quantify.law.scatter import (
    NO_WANDER,
    NODES,
    Departure,
    SizePrior,
    curvature_scatter,
    departure_covariance,
    departures,
    off_sd,
    scatters,
)

T = np.array([5.0, 6.0, 8.0, 8.5])


def draws_of(sds: list[float], count: int = 500) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((count, len(sds))) * sds


@given(median=st.floats(1e-3, 1), log_sd=st.floats(0.1, 2), none=st.floats(0.01, 0.99))
def test_a_size_is_none_or_log_normal(median: float, log_sd: float, none: float) -> None:
    size, log_prior = SizePrior(median, log_sd, none).grid()
    share = np.exp(log_prior)
    assert share.sum() == pytest.approx(1.0)
    assert size[0] == 0.0
    assert share[0] == pytest.approx(none)
    some = share[1:] / share[1:].sum()
    assert some @ np.log(size[1:]) == pytest.approx(np.log(median), abs=1e-9)
    spread = np.sqrt(some @ np.log(size[1:] / median) ** 2)
    assert spread == pytest.approx(log_sd, rel=0.06)  # the grid ends at 2.4 sds


def test_a_size_that_is_not_thought_of_is_zero() -> None:
    for prior in (NO_WANDER, SizePrior(0.3, 1.0, 1.0)):
        assert [a.tolist() for a in prior.grid()] == [[0.0], [0.0]]


def test_scatter_of_curvatures_grows_with_the_misfit() -> None:
    priors = [curvature_scatter(misfit) for misfit in (0.0, 0.02, 0.1, 0.4)]
    for one, other in pairwise(priors):
        assert other.median > one.median
        assert other.none < one.none
    for misfit, prior in zip((0.0, 0.02, 0.1, 0.4), priors, strict=True):
        odds = 1 + 32 * np.exp(-misfit / 0.04)
        assert prior.median == pytest.approx(0.006 + 0.1 * misfit)
        assert prior.none == pytest.approx(odds / (odds + 6.0))
        assert prior.log_sd == 1.3


def test_the_law_turns_away_from_the_largest_scale() -> None:
    """There it is where its optimum says; further down it has had longer to turn."""
    zero, none = np.zeros(1), np.full(1, -1)
    walk = departure_covariance(T, zero, np.full(1, 0.2), none)[0]
    assert walk[-1] == pytest.approx(np.zeros(4))
    assert np.diag(walk) == pytest.approx(0.04 * np.array([3.5, 2.5, 0.5, 0.0]))
    assert walk[0, 1] == pytest.approx(0.04 * 2.5)  # what both have in common
    assert departure_covariance(T, np.full(1, 0.3), zero, none)[0] == pytest.approx(0.09 * np.eye(4))
    one = departure_covariance(T, zero, zero, np.full(1, 2))[0]
    assert one == pytest.approx(0.49 * np.diag([0.0, 0.0, 1.0, 0.0]))
    assert off_sd(np.array([-1, 1]), 3).tolist() == [[0.0, 0.0, 0.0], [0.0, 0.7, 0.0]]


def test_departures_have_the_covariance_that_is_thought_of() -> None:
    count, settings = 60_000, [(0.1, 0.0, -1), (0.0, 0.3, -1), (0.1, 0.2, 1)]
    for size, wander, off in settings:
        columns = np.full(count, size), np.full(count, wander), np.full(count, off)
        found = departures(*columns, np.diff(T), np.random.default_rng(3))
        expected = departure_covariance(T, *(c[:1] for c in columns))[0]
        assert np.cov(found.T) == pytest.approx(expected, abs=0.02 * expected.max())
        assert found.mean(axis=0) == pytest.approx(np.zeros(4), abs=0.01)


def test_every_size_is_tried_alone_with_every_turning_and_with_each_scale_off_the_law() -> None:
    t, draws = T[:3], draws_of([0.1, 0.2, 0.3])
    prior, wander = SizePrior(0.1, 0.8, 0.3), SizePrior(0.2, 0.5, 0.4)
    found = scatters(t, draws, Departure(prior, wander))
    count = len(NODES) + 1
    assert len(found.size) == count**2 + 2 * count  # a prediction starts at the largest scale: it is believed
    tried = set(zip(found.size.tolist(), found.wander.tolist(), found.off.tolist(), strict=True))
    (sizes, log_size), (turns, log_turn) = prior.grid(), wander.grid()
    one_off = {(s, 0.0, k) for s in sizes for k in range(2)}
    assert tried == one_off | {(s, w, -1) for s in sizes for w in turns}
    assert np.exp(found.log_prior).sum() == pytest.approx(1.0)
    for i in (0, 17, count**2 - 1, count**2 + 7):
        size, turn = np.flatnonzero(sizes == found.size[i])[0], np.flatnonzero(turns == found.wander[i])[0]
        rest = log_turn[turn] + np.log(0.98) if found.off[i] < 0 else np.log(0.01)
        assert found.log_prior[i] == pytest.approx(log_size[size] + rest)
    total = np.cov(draws.T) + departure_covariance(t, found.size, found.wander, found.off)
    assert found.inverse == pytest.approx(np.linalg.inv(total), rel=1e-5, abs=1e-6)
    assert found.log_det == pytest.approx(np.linalg.slogdet(total)[1])


def test_a_series_may_be_steady_beyond_what_scatter_and_turning_say() -> None:
    t, draws = T[:3], draws_of([0.1, 0.2, 0.3])
    prior, wander = SizePrior(0.1, 0.8, 0.3), SizePrior(0.2, 0.5, 0.4)
    without, found = (
        np.exp(scatters(t, draws, Departure(prior, wander, steady=s)).log_prior) for s in (0.0, 0.25)
    )
    assert found.sum() == pytest.approx(1.0)
    assert found[0] == pytest.approx(0.75 * without[0] + 0.25)
    assert found[1:] == pytest.approx(0.75 * without[1:])


def test_what_is_known_of_sizes_from_elsewhere_moves_their_prior_and_not_its_whole() -> None:
    t, draws = T[:3], draws_of([0.1, 0.2, 0.3])
    prior = Departure(SizePrior(0.1, 0.8, 0.3), SizePrior(0.2, 0.5, 0.4), steady=0.1)
    without = scatters(t, draws, prior)
    told = np.random.default_rng(0).standard_normal(without.regular)
    found = scatters(t, draws, prior, told)
    assert without.regular == (len(NODES) + 1) ** 2
    assert np.exp(found.log_prior).sum() == pytest.approx(np.exp(without.log_prior).sum())
    raised = found.log_prior - without.log_prior
    assert raised[: found.regular] - raised[0] == pytest.approx(told - told[0])
    for i in range(found.regular, len(raised)):  # a scale off the law: with that scatter, and no turning
        same = np.flatnonzero((found.size == found.size[i]) & (found.wander == 0) & (found.off < 0))[0]
        assert raised[i] == pytest.approx(raised[same])
