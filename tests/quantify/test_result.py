"""Plain data of a fit: what is unknown is None, and nothing can be changed."""

from dataclasses import FrozenInstanceError

import pytest

from hptransfer.quantify.result import Estimate, Prediction, Regret, finite


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_none(value):
    assert finite(value) is None


def test_numbers_stay_as_they_are():
    assert [finite(v) for v in (0.0, -1.5, 1e308, 3)] == [0.0, -1.5, 1e308, 3.0]
    assert type(finite(3)) is float


def test_nothing_is_known_of_an_empty_estimate():
    assert Estimate() == Estimate(None, None, None, ())
    assert Regret(64.0, 128.0, Estimate(0.1)).factor == Estimate()
    assert Prediction(64.0, Estimate(), None, Estimate(), None).flags == ()


def test_data_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        Estimate(1.0).value = 2.0
