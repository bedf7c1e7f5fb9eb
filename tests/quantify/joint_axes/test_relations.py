import numpy as np
import pytest
from surfaces import RIDGE

from hptransfer.quantify.joint_axes.ahead import aheads
from hptransfer.quantify.joint_axes.relations import check_relations, ridge


def test_the_ridge_is_how_the_best_lr_moves_with_the_batch(planes):
    found = ridge(planes, 0, 1, 0.95)
    assert found.low < RIDGE < found.high
    assert found.value == pytest.approx(RIDGE, abs=0.08)


def test_square_root_is_allowed_and_linear_rejected(planes, context):
    found = aheads(context, planes, np.random.default_rng(0))
    rules = {r.name: r for r in check_relations(context, planes, found, np.random.default_rng(0))}
    root, linear = rules["LR as the square root of batch"], rules["LR linear in batch"]
    assert not root.rejected
    assert linear.rejected
    # twice the batch with half an octave too much of lr: 0.05 x 0.5^2, and as much at half the batch
    assert linear.cost == pytest.approx(0.05 * 0.25, rel=0.3)
    assert root.cost < 0.002
    # from the predicted batch down to the smallest point's, lr by the rule
    (ahead,) = found
    steps = planes.basins.x[0, 1] - ahead.x[1]
    assert np.log2(linear.predictions[0]) == pytest.approx(ahead.x[0] + steps, abs=1e-6)


def test_a_constant_timescale_is_rejected_where_it_moves(planes, context):
    found = aheads(context, planes, np.random.default_rng(0))
    rules = check_relations(context, planes, found, np.random.default_rng(0))
    (timescale,) = [r for r in rules if r.name.startswith("constant decay timescale")]
    assert timescale.rejected  # batch / (lr tokens) goes as params^0.6 tokens^-0.75 here
    assert timescale.exponents == {"lr": -1.0, "batch_size": 1.0, "tokens": -1.0}
    assert timescale.note == "weight decay fixed"
