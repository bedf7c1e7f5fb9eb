"""The plan of an adaptive study, round by round."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_study import WIDTHS, adaptive_study, finish, finished, study

from hptransfer.design.acquisition import propose_runs
from hptransfer.design.grid import Observations
from hptransfer.design.round_fit import fit_round
from hptransfer.errors import SpecError
from hptransfer.study.planner import coupled_sizes, plan
from hptransfer.study.rounds import candidate_grid, observations, rounds, why_stopped
from hptransfer.study.scale import Size
from hptransfer.study.spec import StudySpec
from hptransfer.study.stacks import Stack


def ids(stacks: list[Stack]) -> list[str]:
    return [stack.stack_id for stack in stacks]


@pytest.fixture(scope="module")
def done() -> tuple[list[Stack], dict[str, float]]:
    return finished(adaptive_study())


def interval_widths(spec: StudySpec, losses: Mapping[str, float]) -> dict[str, float]:
    """Width of the interval of what the study asks, by variant."""
    assert spec.adaptive is not None
    return fit_round(candidate_grid(spec), observations(spec, losses), spec.adaptive.goal).width


def test_it_reaches_its_precision_with_a_fraction_of_the_grid(
    done: tuple[list[Stack], dict[str, float]],
) -> None:
    stacks, losses = done
    spec = adaptive_study()
    grid = plan(study(**{**spec.model_dump(exclude={"adaptive"}), "adaptive": None}), {})
    assert sum(s.flops for s in stacks) < 0.4 * sum(s.flops for s in grid)
    assert max(interval_widths(spec, losses).values()) <= spec.adaptive.wanted


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
    assert coupled_sizes(adaptive_study(), Size(64)) == tuple(map(Size, WIDTHS))
    assert coupled_sizes(study(), Size(64)) == (Size(64),)


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


def test_rounds_are_numbered_and_no_runs_are_proposed_at_the_goal(
    done: tuple[list[Stack], dict[str, float]],
) -> None:
    spec = adaptive_study()
    found = list(rounds(spec, done[1]))
    assert [r.number for r in found] == list(range(len(found)))
    grid, observed = candidate_grid(spec), Observations()
    for each in found:
        for proposal, run in zip(each.proposals, each.runs, strict=True):
            observed.add(proposal, done[1][run.run_id])
    assert propose_runs(grid, observed, "prediction", 0.6, 4) == []
    assert observed.runs == len(done[1])


def test_it_says_why_it_stopped(done: tuple[list[Stack], dict[str, float]]) -> None:
    losses = done[1]
    told = why_stopped(adaptive_study(), losses)
    assert told is not None
    assert told.startswith("stopped at the precision that was asked for: the widest 95% interval of the pred")
    assert why_stopped(adaptive_study(), {}) is None  # runs are asked for
    assert why_stopped(study(), losses) is None  # a grid
    most = sum(stack.flops for stack in done[0]) / 2
    small = adaptive_study(adaptive={"precision": 0.6, "budget": most})
    told = why_stopped(small, finished(small)[1])
    assert told is not None
    assert told.startswith("stopped at the budget (")


def test_a_budget_that_pays_for_no_run_is_refused() -> None:
    says = r"`adaptive.budget` must pay for the first run, which takes .* FLOPs, but it is 0\.5"
    with pytest.raises(SpecError, match=says):
        plan(adaptive_study(adaptive={"precision": 0.6, "budget": 0.5}), {})
