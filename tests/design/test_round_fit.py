from __future__ import annotations

import math

import pytest
from small_study import adaptive_study, finished

from hptransfer.design.goal import Goal
from hptransfer.design.grid import CandidateGrid, Observations, Proposal
from hptransfer.design.round_fit import fit_round
from hptransfer.study.rounds import candidate_grid, observations


@pytest.fixture(scope="module")
def done() -> tuple[CandidateGrid, Observations]:
    spec = adaptive_study()
    return candidate_grid(spec), observations(spec, finished(spec)[1])


def test_nothing_is_known_before_a_run_is_finished() -> None:
    grid, observed = candidate_grid(adaptive_study()), Observations()
    for loss in (None, math.inf):
        if loss is not None:
            observed.add(Proposal("sp", 0, 12, 0), loss)
        round_fit = fit_round(grid, observed, "prediction")
        assert round_fit.fit is None
        assert round_fit.width == {"sp": math.inf, "mup": math.inf}


def test_the_width_is_that_of_the_interval_that_is_asked_for(
    done: tuple[CandidateGrid, Observations],
) -> None:
    for goal in ("prediction", "optimum", "law"):
        round_fit = fit_round(*done, goal)
        assert round_fit.fit is not None
        for variant, fit in round_fit.fit.variants.items():
            (prediction,) = fit.predictions
            law = fit.laws["hp"].exponent
            octaves = {
                "prediction": [prediction.hp],
                "optimum": [optimum.hp for optimum in fit.optima],
            }.get(goal)
            if octaves is None:
                assert law.high is not None
                assert law.low is not None
                expected = law.high - law.low
            else:
                expected = max(math.log2(e.high / e.low) for e in octaves)  # type: ignore[operator]
            assert round_fit.width[variant] == pytest.approx(expected)


def test_a_verdict_is_known_or_not(done: tuple[CandidateGrid, Observations]) -> None:
    goal: Goal = "verdict"
    round_fit = fit_round(*done, goal)
    assert round_fit.fit is not None
    for variant, fit in round_fit.fit.variants.items():
        assert math.isinf(round_fit.width[variant]) == (fit.verdict.value == "undecided")
