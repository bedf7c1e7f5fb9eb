import numpy as np
import pytest
from surfaces import hp_optimum

from hptransfer.quantify.joint_axes.ahead import aheads, cost_ahead, recommended

PLACE = np.array([[5.0, 4.0]])


@pytest.fixture(scope="module")
def ahead(planes, context):
    (found,) = aheads(context, planes, np.random.default_rng(0))
    return found


def test_the_prediction_is_the_laws_and_the_recommendation_lies_near(ahead, context):
    truth = np.array([hp_optimum(PLACE, hp)[0] for hp in ("lr", "batch_size")])
    low, high = np.quantile(ahead.x_draws, [0.005, 0.995], axis=0)
    assert (low < truth).all()
    assert (truth < high).all()
    assert np.abs(ahead.best - ahead.x).max() < 0.5
    use = recommended(context, ahead)
    assert use == pytest.approx(dict(zip(("lr", "batch_size"), np.exp2(ahead.best), strict=True)))


def test_a_point_far_from_the_prediction_costs_more(ahead, planes):
    near = cost_ahead(planes, ahead, ahead.best, 0.95)
    far = cost_ahead(planes, ahead, ahead.best + np.array([2.0, 0.0]), 0.95)
    assert far.value > near.value + 0.1
    assert far.low > near.high


def test_without_laws_nothing_is_recommended(context):
    assert recommended(context, None) is None
