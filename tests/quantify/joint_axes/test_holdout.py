import numpy as np
import pytest


def test_the_largest_of_each_axis_and_a_corner_are_predicted(fit):
    checks = fit.variants["all"].holdouts
    assert {h.left_out for h in checks} == {"largest params", "largest tokens", "corner"}
    held = [v for h in checks for v in h.covered.values()]
    assert np.mean(held) > 0.8
    assert max(abs(e) for h in checks for e in h.error_octaves.values()) < 0.4
    assert all(0 <= h.regret.value < 0.01 for h in checks)


def test_an_error_is_of_the_prediction_from_what_was_found(fit):
    check = fit.variants["all"].holdouts[0]
    for name, error in check.error_octaves.items():
        assert error == pytest.approx(np.log2(check.predicted[name].value / check.found[name].value))
