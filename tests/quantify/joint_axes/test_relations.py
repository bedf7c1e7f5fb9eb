import numpy as np
import pytest
from surfaces import RIDGE

from hptransfer.quantify.joint.relations import check_relations, ridges
from hptransfer.quantify.joint_axes.ahead import aheads
from hptransfer.quantify.joint_axes.model import plane_law


def checked(planes, context):
    """The relations by name, and the one target's optimum, log2."""
    s, rng = context.settings, np.random.default_rng(0)
    (ahead,) = aheads(context, planes, rng)

    def law(q):
        return plane_law(planes.points, planes.basins, q, s, rng).model

    found = check_relations(planes.basins, context.table.sweep, s, [(ahead.z, ahead.x)], law)
    return {r.name: r for r in found}, ahead


def test_the_ridge_is_how_the_best_lr_moves_with_the_batch(planes):
    found = ridges(planes.basins, 0.95)["lr per batch_size"]
    assert found.low < RIDGE < found.high
    assert found.value == pytest.approx(RIDGE, abs=0.08)


def test_square_root_is_allowed_and_linear_rejected(planes, context):
    rules, ahead = checked(planes, context)
    root, linear = rules["LR ~ batch^0.5"], rules["LR ~ batch"]
    assert not root.rejected
    assert linear.rejected
    # twice the batch with half an octave too much of lr: 0.05 x 0.5^2, and as much at half the batch
    assert linear.cost == pytest.approx(0.05 * 0.25, rel=0.3)
    assert root.cost < 0.002
    # from the predicted batch down to the smallest point's, lr by the rule
    steps = planes.basins.x[0, 1] - ahead.x[1]
    assert np.log2(linear.predictions[0]) == pytest.approx(ahead.x[0] + steps, abs=1e-6)


def test_a_constant_timescale_is_rejected_where_it_moves(planes, context):
    rules, _ = checked(planes, context)
    timescale = rules["constant decay timescale"]
    assert timescale.rejected  # batch / (lr tokens) goes as params^0.6 tokens^-0.75 here
    assert timescale.exponents == {"lr": -1.0, "batch_size": 1.0, "tokens": -1.0}
    assert timescale.note == "weight decay fixed"
