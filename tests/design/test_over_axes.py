"""The planner over several axes: what is known, what begins, and what a study over axes asks for."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from small_study import finish, finished, study

from hptransfer.design.acquisition import propose_runs
from hptransfer.design.bracket import brackets, expected_optimum, needed_first
from hptransfer.design.forecast import forecast
from hptransfer.design.grid import CandidateGrid, Observations, Proposal
from hptransfer.design.information import Information, LinearizationPoint
from hptransfer.design.round_fit import fit_round
from hptransfer.study.planner import plan
from hptransfer.study.rounds import candidate_grid, observations, rounds, why_stopped
from hptransfer.study.spec import StudySpec


def axes_study(**changes: object) -> StudySpec:
    plain: dict[str, object] = {
        "widths": [],
        "train": {},
        "variants": ["mup"],
        "scale": {"width": [32, 64, 128], "tokens": [8192, 16384, 32768]},
        "lr": {"low": "2^-10", "high": "2^-3"},
        "targets": [{"width": 512, "tokens": 131072}],
        "adaptive": {"precision": 0.8},
        "seeds": [0, 1],
    }
    return study(**{**plain, **changes})


def basin(x: float, optimum: float) -> float:
    return 3.0 + 0.05 * (x - optimum) ** 2


def observed(
    grid: CandidateGrid, scales: list[int], slopes: tuple[float, float] = (-0.5, 0.3)
) -> Observations:
    """Whole grids at some scales, whose optima lie on a plane."""
    found = Observations()
    for k in scales:
        optimum = -6.4 + (grid.z[k] - grid.z[0]) @ np.array(slopes)
        for place, x in enumerate(grid.x["mup", k]):
            found.add(Proposal("mup", k, place, 0), basin(float(x), float(optimum)))
    return found


def information(grid: CandidateGrid, wander: float = 0.1) -> Information:
    size = len(grid.scales)
    point = LinearizationPoint(np.full(size, -6.5), np.full(size, math.log(0.1)), 0.005, 0.05, wander=wander)
    return Information(grid, "mup", point, Observations())


def test_the_grid_is_by_price_with_the_axes_as_columns() -> None:
    grid = candidate_grid(axes_study())
    assert grid.axes == ("width", "tokens")
    assert (np.diff(grid.cost) >= 0).all()
    assert grid.target == (512.0, 131072.0)
    assert grid.least_scales == 4
    table = observed(grid, [0, 4]).sweep_table(grid)
    assert table is not None
    assert (table.axes, table.columns.scale) == (grid.axes, "width")
    assert {*table.scale} == {*grid.scales[[0, 4], 0]}
    assert {*table.extra["tokens"]} == {*grid.scales[[0, 4], 1]}


def test_the_gain_of_a_run_is_what_the_variance_falls_by() -> None:
    grid = candidate_grid(axes_study())
    info = information(grid)
    for k in (0, 1, 2, 4):
        for place in (8, 9, 11):
            info.run((k, place))
    asked = info.prediction()
    for key in ((4, 6), (8, 7), (1, 8)):
        gain = info.gain(asked, np.linalg.inv(info.matrix), key)
        assert gain == pytest.approx(info.variance(asked) - info.with_runs([key]).variance(asked), rel=1e-6)
        assert gain > 0


def test_a_place_near_the_target_tells_more_where_the_law_turns() -> None:
    grid = candidate_grid(axes_study())
    at = {tuple(values): k for k, values in enumerate(grid.scales)}
    near, far = at[128.0, 32768.0], at[32.0, 8192.0]
    variances = []
    for wander in (0.0, 0.3):
        info = information(grid, wander)
        for k in at.values():
            if k not in (near, far):
                for place in (8, 9, 11):
                    info.run((k, place))
        asked = info.prediction()
        left = [info.with_runs([(k, p) for p in (8, 9, 11)]).variance(asked) for k in (far, near)]
        assert left[1] < left[0]
        variances.append(left[1])
    assert (
        variances[1] > 2 * variances[0]
    )  # what a law that turns leaves unknown, runs far off do not take away


def test_expected_optima_lie_on_the_plane_of_those_that_are_known() -> None:
    grid = candidate_grid(axes_study())
    known = {k: -6.4 + float((grid.z[k] - grid.z[0]) @ np.array([-0.5, 0.3])) for k in range(6)}
    truth = -6.4 + float((grid.z[8] - grid.z[0]) @ np.array([-0.5, 0.3]))
    assert expected_optimum(grid, known, 8) == pytest.approx(truth, abs=0.25)


def test_what_begins_first_tells_the_axes_apart() -> None:
    grid = candidate_grid(axes_study())
    state = brackets(grid, Observations(), "mup")
    assert needed_first(grid, state) == [("mup", 0)]  # alone, over the whole grid of learning rates
    state = brackets(grid, observed(grid, [0]), "mup")
    begun = [k for _, k in needed_first(grid, state)]
    z = grid.z[[0, *begun]]
    assert len(z) == 4
    assert np.linalg.matrix_rank(z - z.mean(axis=0)) == 2
    assert not needed_first(grid, brackets(grid, observed(grid, [0, 1, 2, 4]), "mup"))


def test_several_places_are_bracketed_at_a_time() -> None:
    grid = candidate_grid(axes_study())
    found = observed(grid, [0])
    for k in (1, 2):
        found.add(Proposal("mup", k, 7, 0), 3.0)
    asked = propose_runs(grid, found, "prediction", 0.5, 4)
    assert {proposal.scale for proposal in asked} == {1, 2}


def test_the_fit_of_a_round_finds_the_law_and_is_infinite_before_there_is_one() -> None:
    grid = candidate_grid(axes_study())
    assert fit_round(grid, observed(grid, [0, 1]), "prediction").width == {"mup": math.inf}
    found = fit_round(grid, observed(grid, [0, 1, 2, 3, 4, 5]), "prediction")
    surface = found.surfaces["mup"]
    assert found.width["mup"] == surface.width < 2.5
    truth = {k: -6.4 + float((grid.z[k] - grid.z[0]) @ np.array([-0.5, 0.3])) for k in range(6)}
    assert surface.x == pytest.approx(truth, abs=0.05)
    for goal in ("law", "optimum"):
        assert 0 < fit_round(grid, observed(grid, list(range(6))), goal).width["mup"] < 2.5


def test_a_study_over_axes_reaches_its_precision_for_part_of_the_grid() -> None:
    spec = axes_study()
    stacks, losses = finished(spec)
    told = why_stopped(spec, losses)
    assert told is not None
    assert "at the precision that was asked for" in told
    grid = len(spec.sizes) * spec.lr.count * len(spec.seeds)
    assert len(losses) < grid / 2
    assert all(len({run.size for run in stack.runs}) == 1 for stack in stacks)


def test_a_study_that_was_killed_plans_the_same_runs() -> None:
    spec = axes_study()
    first = finish(plan(spec, {}))
    second = finish(plan(spec, first))
    some = dict(list(second.items())[: len(first) + 1])  # the second round is not finished
    assert [s.stack_id for s in plan(spec, some)] == [s.stack_id for s in plan(spec, second)][
        : len(plan(spec, some))
    ]
    assert len(list(rounds(spec, some))) == 2


def test_a_budget_goes_to_named_places() -> None:
    spec = axes_study()
    offers, known = forecast(candidate_grid(spec), observations(spec, {}), "prediction")
    *chosen, full = offers
    assert not known
    assert full.runs == 9 * spec.lr.count * 2
    assert all(offer.runs == len(offer.made) for offer in chosen)
    widths = [offer.width for offer in chosen if math.isfinite(offer.width)]
    assert widths == sorted(widths, reverse=True)
    assert len(widths) > 1


def test_a_target_far_beyond_the_runs_asks_for_larger_places_first() -> None:
    grid = replace(candidate_grid(axes_study()), target=(2048.0, 32768.0))
    asked = propose_runs(grid, observed(grid, [0, 1, 2, 3, 4]), "prediction", 50.0, 4)
    assert asked
    largest = max(grid.scales[[0, 1, 2, 3, 4], 0])
    assert max(grid.scales[p.scale, 0] for p in asked) > largest or largest == 128.0
