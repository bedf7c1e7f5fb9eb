"""Plain data of a fit: what is unknown is None, and nothing can be changed."""

from dataclasses import FrozenInstanceError, replace

import pytest

from hptransfer.quantify.result import Answer, Estimate, Prediction, Regret, Suggestion, Verdict, finite


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


def test_a_verdict_in_a_notebook_has_both_answers_and_what_to_run():
    keep = Answer("no", Estimate(), Estimate(), Estimate(), 64.0, "no, costs <1 nat")
    follow = replace(keep, value="yes", reason="yes, costs nothing")
    more = Suggestion((), 0.9, 0.1, True, "3 more seeds")
    text = Verdict("predictable", "", 0.01, keep, follow, suggested=more)._repr_html_()
    assert "<b>predictable</b>" in text
    assert "<b>no</b></td><td>costs &lt;1 nat</td>" in text
    assert "<b>yes</b></td><td>costs nothing</td>" in text
    assert "To run next: 3 more seeds" in text
