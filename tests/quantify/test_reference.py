"""What a loss is measured from: the lower envelope of variants, and the penalties above it."""

from dataclasses import replace

import numpy as np
import pytest
from known_sweeps import make

from hptransfer.quantify.basin.cells import cells_of
from hptransfer.quantify.basin.fit import fit_basins
from hptransfer.quantify.law.laws import fit_laws
from hptransfer.quantify.reference import (
    Reference,
    lower_envelope,
    penalty_at_infinity,
    penalty_at_largest,
    reference_of,
)


@pytest.fixture(scope="module")
def basins():
    sweep = make(widths=(64.0, 128.0, 256.0, 512.0, 1024.0), noise=0.002)
    return fit_basins(list(cells_of(sweep)), 200, 0)[0]


@pytest.fixture(scope="module")
def laws(basins):
    return fit_laws(basins, None, np.random.default_rng(0))


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


def test_the_penalty_at_infinity_is_the_difference_of_the_limits(basins, laws):
    other = reference_of(basins).with_law()
    assert other.law is not None
    lower = replace(
        other.law, parameters=other.law.parameters - [0.1, 0, 0], draws=other.law.draws - [0.1, 0, 0]
    )
    found = penalty_at_infinity(laws, replace(other, law=lower), 0.95).estimate
    assert (found.value, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))
    assert penalty_at_infinity(laws, reference_of(basins), 0.95).estimate.flags == (
        "no_laws",
    )  # not joined yet
    assert penalty_at_infinity(None, other, 0.95).estimate.flags == ("no_laws",)
    bound = replace(other, law=replace(other.law, point_at_bound=("A at 0",)))
    assert penalty_at_infinity(laws, bound, 0.95).estimate.flags == ("at_bound",)


def test_the_penalty_at_the_largest_scale_is_the_difference_of_losses(basins):
    own = reference_of(basins)
    lower = replace(own, loss=own.loss - 0.2, draws=own.draws - 0.2)
    found = penalty_at_largest(basins, lower, 0.95).estimate
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.2, 0.2))
    assert found.flags == ()
    fewer = part(own.scale[:2], own.loss[:2] - [0.1, 0.3], own.draws[:, :2] - 0.3)
    found = penalty_at_largest(basins, fewer, 0.95).estimate
    assert found.value == pytest.approx(0.3)
    assert found.flags == ("not_at_largest_scale",)
    nothing = part([1e6], [1.0], np.ones((200, 1)))
    for against in (None, nothing):
        assert penalty_at_largest(basins, against, 0.95).estimate.flags == ("no_optimum",)
