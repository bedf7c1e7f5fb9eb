from dataclasses import replace

import numpy as np
import pytest
from made_axes import model, settings

from hptransfer.quantify.axes.paths import axis_laws

VALUES = [[n, d] for n in (1e8, 2e8, 4e8) for d in (2e9, 4e9, 8e9)]
S = settings(("params", "tokens"))


def test_exponents_along_axes_and_at_fixed_tokens_per_parameter():
    found = model(VALUES, [-0.6, 0.25])
    params, tokens, together = axis_laws(found, S)
    assert (params.name, tokens.name, together.name) == ("params", "tokens", "fixed tokens per parameter")
    assert [law.drift.value for law in (params, tokens, together)] == pytest.approx([-0.6, 0.25, -0.35])
    low, high = np.quantile(found.hp.draws[:, 1] + found.hp.draws[:, 2], [0.025, 0.975])
    assert (together.drift.low, together.drift.high) == pytest.approx((low, high))
    assert params.direction == {"params": 1.0}
    assert together.direction == {"params": 1.0, "tokens": 1.0}
    assert together.constant is None


def test_curvature_loss_and_kappa():
    params, *_ = axis_laws(model(VALUES, [-0.6, 0.25]), S)
    h = 0.1 / np.log(2)  # d log h / d log n of the log curvature's slope of 0.1 per octave
    assert params.gamma.value == pytest.approx(h + 2 * 0.6)
    assert params.alpha.value == pytest.approx(0.3)
    assert params.kappa.value == pytest.approx(0.3 - 2 * 0.6 + h + 2 * 0.6)


def test_a_path_of_ones_own_and_its_loss():
    found = model(VALUES, [-0.6, 0.25])
    law = axis_laws(found, replace(S, path={"params": 1.0, "tokens": 0.5}))[-1]
    assert law.name == "params^1 tokens^0.5"
    assert law.drift.value == pytest.approx(-0.6 + 0.125)
    # the gap at the farthest point: equal parts of both axes, the second at half the rate
    assert law.alpha.value == pytest.approx(0.3 * (1 + 0.5) / 2)
    single = axis_laws(found, replace(S, path={"params": 0.0, "tokens": 1.0}))[-1]
    assert single.name == "tokens^1"
    assert single.alpha.value == pytest.approx(0.3)


def test_no_gain_has_no_exponent_of_the_loss():
    found = model(VALUES, [-0.6, 0.25])
    flat = replace(found, loss=replace(found.loss, gains=np.array([True, False])))
    _, tokens, together = axis_laws(flat, S)
    assert tokens.alpha.value is None
    assert "no_gain" in tokens.alpha.flags
    assert together.alpha.value == pytest.approx(0.3)  # of parameters alone


def test_a_constant_is_a_share_of_the_draws():
    found = model(VALUES, [-0.6, 0.25])
    draws = found.hp.draws.copy()
    draws[:100, 2] = 0.0
    walks = np.tile([0.1, 0.3], (len(draws), 1))
    params, tokens, _ = axis_laws(replace(found, hp=replace(found.hp, draws=draws, wander_draws=walks)), S)
    assert (params.constant, tokens.constant) == (0.0, 100 / len(draws))
    assert (params.wander, tokens.wander) == (0.1, 0.3)


def test_draws_follow_those_of_a_resampled_optimum():
    found = model(VALUES, [-0.6, 0.25])
    index = np.zeros(len(found.hp.draws), int)
    slopes = replace(found.log_curvature, draws=np.arange(len(index))[:, None] * np.ones(3))
    law = axis_laws(replace(found, index=index, log_curvature=slopes), S)[0]
    assert law.kappa.low == pytest.approx(0.3)  # all of the curvature's draws are the first one's, 0


def test_tied_axes_give_their_path():
    along = [[1e8 * 2.0**k, 2e9 * 4.0**k] for k in range(5)]
    (law,) = axis_laws(model(along, [-0.35]), S)
    assert law.name == "params^1 tokens^2"
    assert law.direction == pytest.approx({"params": 1.0, "tokens": 2.0})
    assert law.drift.flags == ("collinear",)
