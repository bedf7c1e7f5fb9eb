"""What is thought beforehand of how far single scales lie off their law."""

import numpy as np
import pytest

from hptransfer.quantify.law.scatter import (
    UNIT_PRIOR,
    UNIT_SCATTERS,
    ScatterPrior,
    curvature_scatter,
    hp_scatter,
    scatters,
    slope_change_sd,
)


def test_scales_of_one_shape_may_lie_on_the_law_exactly() -> None:
    for prior in (hp_scatter, curvature_scatter):
        one_shape, many = prior(0.005), prior(0.3)
        assert one_shape.zero_odds > 10 > 2 > many.zero_odds >= 1
        assert many.typical > one_shape.typical
        share = [np.exp(p.grid()[1]) for p in (one_shape, many)]
        assert share[0][0] / share[0].sum() > 0.5 > share[1][0] / share[1].sum()


def test_typical_scatters_grow_with_the_misfit() -> None:
    for misfit in (0.0, 0.1, 0.4):
        odds = 1 + 32 * np.exp(-misfit / 0.04)
        assert hp_scatter(misfit) == ScatterPrior(pytest.approx(0.03 + 0.35 * misfit), pytest.approx(odds))
        curvature = ScatterPrior(pytest.approx(0.006 + 0.1 * misfit), pytest.approx(odds))
        assert curvature_scatter(misfit) == curvature
        assert slope_change_sd(misfit) == pytest.approx(0.085 * misfit**4 / (misfit**4 + 0.1**4))


def test_sizes_are_none_and_a_geometric_series_with_a_half_t_prior() -> None:
    assert UNIT_SCATTERS[:2].tolist() == [0.0, pytest.approx(0.15)]
    assert UNIT_SCATTERS[-1] == pytest.approx(30.0)
    assert UNIT_SCATTERS[2:] / UNIT_SCATTERS[1:-1] == pytest.approx(200 ** (1 / 10))
    assert len(UNIT_SCATTERS) == 12
    spacing = np.gradient(UNIT_SCATTERS)
    assert np.exp(UNIT_PRIOR) == pytest.approx(spacing * (1 + UNIT_SCATTERS**2) ** -1.5)
    sizes, log_prior = ScatterPrior(0.2, 5.0).grid()
    assert sizes == pytest.approx(0.2 * UNIT_SCATTERS)
    assert log_prior - UNIT_PRIOR == pytest.approx([np.log(5.0)] + [0.0] * 11)


def test_every_size_is_tried_alone_and_with_each_scale_off_the_law() -> None:
    draws = np.random.default_rng(0).multivariate_normal(np.zeros(3), np.diag([0.01, 0.04, 0.09]), 500)
    found, prior = scatters(draws, ScatterPrior(0.1)), ScatterPrior(0.1).grid()
    assert found.off.tolist() == [-1, 0, 1, 2] * 12
    assert found.size == pytest.approx(np.repeat(prior[0], 4))
    errors = np.cov(draws.T)
    for s in (0, 6, 23, 46):
        extra = np.full(3, found.size[s] ** 2) + 0.7**2 * (np.arange(3) == found.off[s])
        assert found.extra[s] == pytest.approx(extra)
        assert found.inverse[s] == pytest.approx(np.linalg.inv(errors + np.diag(extra)), rel=1e-6)
        assert found.log_det[s] == pytest.approx(np.linalg.slogdet(errors + np.diag(extra))[1])
        chance = 0.97 if found.off[s] < 0 else 0.01
        assert found.log_prior[s] == pytest.approx(prior[1][s // 4] + np.log(chance))
