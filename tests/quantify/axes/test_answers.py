from dataclasses import replace

import numpy as np
import pytest
from made_axes import H, basis, model, settings

from hptransfer.quantify.axes.answers import (
    by_cost,
    doubted,
    extrapolate_answer,
    keep_answer,
    with_cost,
    written,
)
from hptransfer.quantify.axes.result import PlaceHoldOut, PlacePrediction
from hptransfer.quantify.intervals import missing
from hptransfer.quantify.result import Estimate

VALUES = [[n, d] for n in (1e8, 2e8, 4e8) for d in (2e9, 4e9, 8e9)]
AXES = ("params", "tokens")
HERE = {"params": 1e8, "tokens": 2e9}


@pytest.mark.parametrize(
    ("at", "words"),
    [
        ({"params": 1.07e9, "tokens": 20e9}, "params 1.07B, tokens 20B"),
        ({"params": 2.15e8, "tokens": 1.4e12}, "params 215M, tokens 1.4T"),
        ({"width": 1024.0, "depth": 12.0}, "width 1,024, depth 12"),
        ({"width": 0.5}, "width 0.5"),
        ({}, ""),
    ],
)
def test_places_in_words(at, words):
    assert written(at) == words


@pytest.mark.parametrize(
    ("costs", "value", "at"),
    [
        ([(0.001, 0.0, 0.002), (0.003, 0.002, 0.009)], "yes", 1),
        ([(0.001, 0.0, 0.002), (0.003, 0.002, 0.011)], "not known", 1),
        ([(0.001, 0.0, 0.002), (0.05, 0.011, 0.2), (0.03, 0.02, 0.3)], "no", 2),
        ([(0.001, 0.0, None), (0.05, 0.009, 0.2)], "not known", 0),
        ([(0.0, 0.0, 0.0099)], "yes", 0),
        ([(0.0, 0.0, 0.01)], "not known", 0),
        ([], "not known", None),
    ],
)
def test_an_answer_goes_by_the_largest_cost(costs, value, at):
    given = [(Estimate(*cost), {"params": float(i)}) for i, cost in enumerate(costs)]
    found = by_cost(given, 0.01, "it")
    assert found.value == value
    assert found.at == (None if at is None else {"params": float(at)})


def test_a_bend_or_missed_points_allow_no_yes():
    yes = by_cost([(Estimate(0.001, 0.0, 0.002), HERE)], 0.01, "it")
    assert doubted(yes, (), False) is yes
    assert doubted(yes, ("bend params",), False).value == "not known"
    assert "it bends (bend params)" in doubted(yes, ("bend params",), False).reason
    assert "outside its intervals" in doubted(yes, (), True).reason
    no = by_cost([(Estimate(0.1, 0.05, 0.2), HERE)], 0.01, "it")
    assert doubted(no, ("bend params",), True) is no


def test_the_cost_is_written_into_the_reason():
    found = by_cost([(Estimate(0.0012, 0.0, 0.0021), HERE)], 0.01, "keeping it")
    assert with_cost(found, "bits").reason == (
        "keeping it costs 0.0012 bits [0, 0.0021] at most, at params 100M, tokens 2B"
    )
    unbounded = by_cost([(Estimate(0.001, 0.0, None), HERE)], 0.01, "keeping it")
    assert "[0, inf]" in with_cost(unbounded, "nats").reason
    open_ = by_cost([(Estimate(None, None, None), HERE)], 0.01, "it")
    assert "an amount that the runs do not bound" in with_cost(open_, "nats").reason


def test_the_smallest_points_value_is_kept():
    s = settings(AXES)
    same = keep_answer(basis(VALUES, np.full(9, -8.0)), s)
    assert same.value == "yes"
    assert "params 100M, tokens 2B" in same.reason
    x = np.full(9, -8.0)
    x[5] = -9.0
    moved = keep_answer(basis(VALUES, x), s)
    assert moved.value == "no"
    assert moved.at == {"params": 2e8, "tokens": 8e9}
    assert moved.cost.value == pytest.approx(0.5 * H)  # one octave off
    bare = basis(VALUES, x)
    none = replace(bare, basins=replace(bare.basins, fitted=np.zeros(9, bool)))
    assert keep_answer(none, s).value == "not known"


def held_out(cost, covered=True):
    nothing = missing("")
    return PlaceHoldOut("corner", HERE, nothing, nothing, 0.0, Estimate(*cost), covered)


def predicted(use):
    nothing = missing("")
    return PlacePrediction({"params": 1.6e9, "tokens": 8e9}, nothing, use, nothing, nothing, None, {})


def test_following_the_law_is_judged_by_hold_outs_and_targets():
    s, place = settings(AXES), np.log2([[1.6e9, 8e9]])
    found = model(VALUES, [-0.6, 0.25], places=place, sd=(0.01, 0.01, 0.01))
    good = held_out((0.0005, 0.0, 0.001))
    right, wrong = float(np.exp2(found.hp.at[0])), float(np.exp2(found.hp.at[0] + 2.0))
    assert extrapolate_answer(found, [good], [predicted(right)], s, ()).value == "yes"
    off = extrapolate_answer(found, [good], [predicted(wrong)], s, ())
    assert off.value == "no"
    assert off.at == {"params": 1.6e9, "tokens": 8e9}
    # two octaves off, at the curvature that its law has there
    h = np.exp(found.log_curvature.at[0])
    assert off.cost.value == pytest.approx(0.5 * h * 4, rel=0.01)
    assert extrapolate_answer(found, [held_out((0.1, 0.05, 0.2))], [], s, ()).value == "no"
    assert (
        extrapolate_answer(found, [good, *[held_out((0.0, 0.0, 0.001), False)] * 2], [], s, ()).value
        == "not known"
    )
    assert extrapolate_answer(found, [good, held_out((0.0, 0.0, 0.001), False)], [], s, ()).value == "yes"
    assert extrapolate_answer(found, [good], [], s, ("bend tokens",)).value == "not known"
    assert "left out" in extrapolate_answer(found, [], [], s, ()).reason
    assert extrapolate_answer(None, [good], [], s, ()).value == "not known"
