from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import fake_trainer
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_study import study

from hptransfer.design.acquisition import best_move, propose_runs
from hptransfer.design.bracket import brackets, expected_optimum, missing_places
from hptransfer.design.grid import CandidateGrid, Observations, Proposal
from hptransfer.design.information import Information, LinearizationPoint
from hptransfer.design.linearization import linearization_point
from hptransfer.design.round_fit import fit_round
from hptransfer.errors import SpecError
from hptransfer.study.planner import coupled_widths, plan
from hptransfer.study.rounds import candidate_grid, observations, rounds
from hptransfer.study.spec import StudySpec
from hptransfer.study.stacks import Stack

WIDTHS = [32, 64, 128, 256]


def adaptive_study(**changes: Any) -> StudySpec:
    plain = {
        "widths": WIDTHS,
        "seeds": [0, 1, 2],
        "targets": [1024],
        "lr": {"low": "2^-12", "high": "2^-2"},
        "adaptive": {"precision": 0.25},
    }
    return study(**{**plain, **changes})


def finish(stacks: list[Stack]) -> dict[str, float]:
    losses = {r.run_id: fake_trainer.loss(r.spec) for s in stacks for r in s.runs}
    return {k: math.inf if math.isnan(v) else v for k, v in losses.items()}


def finished(spec: StudySpec) -> tuple[list[Stack], dict[str, float]]:
    losses: dict[str, float] = {}
    while True:
        stacks = plan(spec, losses)
        if len(found := finish(stacks)) == len(losses):
            return stacks, losses
        losses = found


def ids(stacks: list[Stack]) -> list[str]:
    return [stack.stack_id for stack in stacks]


@pytest.fixture(scope="module")
def done() -> tuple[list[Stack], dict[str, float]]:
    return finished(adaptive_study())


def test_it_reaches_its_precision_with_a_fraction_of_the_grid(
    done: tuple[list[Stack], dict[str, float]],
) -> None:
    stacks, losses = done
    spec = adaptive_study()
    grid = plan(study(**{**spec.model_dump(exclude={"adaptive"}), "adaptive": None}), {})
    assert sum(s.flops for s in stacks) < 0.4 * sum(s.flops for s in grid)
    assert max(interval_widths(spec, losses).values()) <= 0.25


def test_cheap_widths_come_first_and_the_rest_is_put_near_their_optimum(
    done: tuple[list[Stack], dict[str, float]],
) -> None:
    stacks, _ = done
    first = [
        min(s.round for s in stacks if s.width == w) for w in WIDTHS if any(s.width == w for s in stacks)
    ]
    assert first == sorted(first)
    far = [
        r for s in stacks for r in s.runs if s.width > 32 and abs(math.log2(r.spec.lr * s.width / 32) + 6) > 3
    ]
    assert far == []  # the fake trainer's optimum is at 2^-6 in the grid's coordinates
    assert {r.variant for s in stacks for r in s.runs} == {"sp", "mup"}


def test_seeds_come_in_order_and_no_run_twice(done: tuple[list[Stack], dict[str, float]]) -> None:
    runs = [r for s in done[0] for r in s.runs]
    assert len({r.run_id for r in runs}) == len(runs)
    cells: dict[tuple[str, int, int], list[int]] = {}
    for run in runs:
        cells.setdefault((run.variant, run.spec.model.width, run.index), []).append(run.spec.seed)
    assert all(sorted(seeds) == list(range(len(seeds))) for seeds in cells.values())


@settings(max_examples=5)
@given(st.data())
def test_wherever_a_kill_falls_and_in_whatever_order_results_come_the_plan_is_the_same(
    data: st.DataObject,
) -> None:
    final, everything = finished(adaptive_study())
    losses: dict[str, float] = {}
    while missing_stacks := [s for s in plan(adaptive_study(), losses) if s.without(losses)]:
        assert set(ids(missing_stacks)) <= set(ids(final))
        some = data.draw(
            st.lists(st.sampled_from(missing_stacks), min_size=1, unique_by=lambda s: s.stack_id)
        )
        losses.update(finish(some))
    assert losses == everything


def test_part_of_a_round_asks_for_no_next_one() -> None:
    spec = adaptive_study()
    first = plan(spec, {})
    assert {s.round for s in first} == {0}
    losses = finish(first)
    losses.pop(next(iter(losses)))
    assert ids(plan(spec, losses)) == ids(first)


def test_results_that_no_round_asked_for_change_nothing() -> None:
    spec = adaptive_study()
    grid = plan(study(**{**spec.model_dump(exclude={"adaptive"}), "adaptive": None}), {})
    asked = {r.run_id for s in plan(spec, {}) for r in s.runs}
    other = {k: v for k, v in finish(grid).items() if k not in asked}
    assert ids(plan(spec, other)) == ids(plan(spec, {}))


def test_a_budget_is_never_overspent_and_cuts_no_other_round() -> None:
    full, _ = finished(adaptive_study())
    budget = 0.5 * sum(s.flops for s in full)
    cut, _ = finished(adaptive_study(adaptive={"precision": 0.25, "budget": budget}))
    assert 0.2 * budget < sum(s.flops for s in cut) <= budget
    assert {r.run_id for s in cut for r in s.runs} < {r.run_id for s in full for r in s.runs}


@pytest.mark.parametrize(
    ("goal", "precision"), [("optimum", 1.0), ("law", 0.3), ("prediction", 0.5), ("verdict", 0.05)]
)
def test_every_goal_ends(goal: str, precision: float) -> None:
    spec = adaptive_study(adaptive={"goal": goal, "precision": precision, "batch": 8})
    stacks, losses = finished(spec)
    assert max(interval_widths(spec, losses).values()) <= precision
    if goal in ("optimum", "verdict"):
        assert {s.width for s in stacks} == set(WIDTHS)


def test_what_one_width_gives_decides_all_of_an_adaptive_plan() -> None:
    assert coupled_widths(adaptive_study(), 64) == tuple(WIDTHS)
    assert coupled_widths(study(), 64) == (64,)


def test_a_prediction_needs_a_target_and_precision_a_default() -> None:
    with pytest.raises(SpecError, match="targets"):
        adaptive_study(targets=[])
    spec = adaptive_study(adaptive={"goal": "law"}, targets=[])
    assert spec.adaptive is not None
    assert spec.adaptive.wanted == 0.2


def test_all_diverged_at_the_smallest_width_goes_on_to_the_left() -> None:
    spec = adaptive_study(lr={"low": "2^-2", "high": "2^0", "extend": 6, "factor": 2})
    stacks, losses = finished(spec)
    best = min(losses, key=lambda run_id: losses[run_id])
    assert math.isfinite(losses[best])
    assert any(r.index < 0 for s in stacks for r in s.runs)


# --- the parts ---------------------------------------------------------------------------------------


def interval_widths(spec: StudySpec, losses: Mapping[str, float]) -> dict[str, float]:
    """Width of the interval of what the study asks, by variant."""
    assert spec.adaptive is not None
    return fit_round(candidate_grid(spec), observations(spec, losses), spec.adaptive.goal).width


def one_basin(
    losses: Mapping[int, float], step: float = 1.0, places: int = 12
) -> tuple[CandidateGrid, list[int]]:
    x = -10 + step * np.arange(places)
    grid = CandidateGrid(
        np.array([32.0]), np.ones(1), {("v", 0): x}, {("v", 0): (0, places - 1)}, 1, np.zeros(1), 64.0
    )
    return grid, missing_places(grid, ("v", 0), losses)


@pytest.mark.parametrize(
    ("losses", "needs"),
    [
        ({3: 2.0, 4: 1.0, 5: 2.0}, []),
        ({4: 1.0, 5: 2.0}, [3]),
        ({3: 2.0, 4: 1.0}, [5]),
        ({3: 2.0, 4: 1.0, 5: math.inf}, []),
        ({2: 2.0, 4: 1.0, 6: 2.0}, [3, 5]),
        ({4: math.inf, 6: math.inf}, [2]),
        ({0: 1.0, 1: 2.0}, []),
        ({10: 2.0, 11: 1.0}, []),
        ({0: math.inf}, []),
    ],
)
def test_what_a_bracket_needs(losses: Mapping[int, float], needs: list[int]) -> None:
    assert one_basin(losses)[1] == needs


@given(st.dictionaries(st.integers(0, 11), st.floats(1, 5) | st.just(math.inf), min_size=1))
def test_a_bracket_asks_for_new_places_inside_the_grid(losses: dict[int, float]) -> None:
    grid, needs = one_basin(dict(sorted(losses.items())))
    assert not set(needs) & set(losses)
    assert all(0 <= place < len(grid.x["v", 0]) for place in needs)


def test_the_expected_optimum_follows_the_smaller_scales_more_the_more_there_are() -> None:
    grid = candidate_grid(adaptive_study())
    assert expected_optimum(grid, {0: -6.0}, 1) == -6.0
    drift = [expected_optimum(grid, {k: -6.0 - k for k in range(count)}, count) + 6 for count in (2, 3)]
    assert -2 < drift[0] < -1.2
    assert -3 < drift[1] < -2.7


def information(observed: Observations | None = None) -> tuple[CandidateGrid, Information]:
    grid = candidate_grid(adaptive_study())
    flat = LinearizationPoint(np.full(4, -6.0), np.full(4, math.log(0.1)), 0.005, 0.05)
    return grid, Information(grid, "sp", flat, observed or Observations())


def test_the_gain_of_a_run_is_what_the_variance_falls_by() -> None:
    _, info = information()
    for place in (10, 11, 12, 13, 14):
        for k in range(3):
            info.run((k, place))
    asked = info.prediction(1024.0)
    before = info.variance(asked)
    for key in ((2, 11), (1, 13), (0, 10)):
        gain = info.gain(asked, np.linalg.inv(info.matrix), key)
        assert gain == pytest.approx(before - info.with_runs([key]).variance(asked), rel=1e-6)
        assert gain > 0


def test_flanks_tell_of_the_optimum_and_its_bottom_does_not() -> None:
    _, info = information()
    for place in (11, 12, 13):
        info.run((1, place))
    asked, covariance = info.optima([1]), np.linalg.inv(info.matrix)
    at = {place: info.gain(asked, covariance, (1, place)) for place in range(8, 17)}
    assert max(at[11], at[13]) > 3 * at[12]
    assert not info.informative((1, 0))


def test_a_new_place_is_worth_more_than_a_fourth_seed() -> None:
    _, info = information()
    for place in (11, 12, 13):
        for _ in range(3):
            info.run((1, place))
    asked, covariance = info.optima([1]), np.linalg.inv(info.matrix)
    assert info.gain(asked, covariance, (1, 14)) > info.gain(asked, covariance, (1, 13))


def test_noise_and_optima_are_learned_from_what_is_finished() -> None:
    spec = adaptive_study()
    grid, observed = candidate_grid(spec), Observations()
    rng = np.random.default_rng(0)
    for k in range(4):
        for place, x in enumerate(grid.x["sp", k]):
            if abs(x + 6) < 3:
                for seed in range(3):
                    loss = 3.0 + 0.05 * (x + 6.2) ** 2 + 0.02 * rng.standard_normal()
                    observed.add(Proposal("sp", k, place, seed), loss)
    found = linearization_point(grid, observed, fit_round(grid, observed, "prediction"), "sp")
    assert found.x == pytest.approx(np.full(4, -6.2), abs=0.2)
    assert np.exp(found.log_curvature) == pytest.approx(np.full(4, 0.1), rel=0.5)
    assert 0.014 < found.noise < 0.026


def test_no_move_where_every_run_is_made() -> None:
    grid, info = information()
    for key in info.count:
        info.count[key] = grid.seeds
    observed = Observations()
    for k in range(4):
        for place in range(len(grid.x["sp", k])):
            observed.add(Proposal("sp", k, place, 0), 3.0 + abs(place - 12))
    round_fit = brackets(grid, observed, "sp")
    assert round_fit.next_scale is None
    assert len(round_fit.optima) == 4
    assert best_move(grid, info, round_fit, "prediction", opened=False) is None


def test_a_law_is_not_trusted_further_than_eight_times_while_larger_widths_are_left() -> None:
    spec = adaptive_study(targets=[2048], adaptive={"precision": 50.0})
    stacks, _ = finished(spec)
    assert max(s.width for s in stacks) == 256
    near, _ = finished(adaptive_study(targets=[512], adaptive={"precision": 50.0}))
    assert max(s.width for s in near) == 128


def test_rounds_are_numbered_and_next_asks_are_empty_at_the_goal(
    done: tuple[list[Stack], dict[str, float]],
) -> None:
    spec = adaptive_study()
    found = list(rounds(spec, done[1]))
    assert [r.number for r in found] == list(range(len(found)))
    grid, observed = candidate_grid(spec), Observations()
    for each in found:
        for proposal, run in zip(each.proposals, each.runs, strict=True):
            observed.add(proposal, done[1][run.run_id])
    assert propose_runs(grid, observed, "prediction", 0.25, 4) == []
    assert observed.runs == len(done[1])
