from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_study import study

from hptransfer.study.planner import plan, plan_size, unbracketed
from hptransfer.study.scale import Size
from hptransfer.study.stacks import Stack

levels = st.floats(1.0, 5.0) | st.just(math.inf)


def ids(stacks: list[Stack]) -> list[str]:
    return [stack.stack_id for stack in stacks]


def result(stack: Stack, place: int) -> float:
    """A loss from the run alone: a basin whose place depends on the variant, with a cliff."""
    run = stack.runs[place]
    x = run.index - (14 if run.variant == "sp" else -3)
    return math.inf if x > 3 else 3.0 + 0.01 * x * x


def finish(stacks: list[Stack]) -> dict[str, float]:
    return {run.run_id: result(stack, i) for stack in stacks for i, run in enumerate(stack.runs)}


def finished_study(spec: Any) -> tuple[list[Stack], dict[str, float]]:
    losses: dict[str, float] = {}
    while True:
        stacks = plan(spec, losses)
        if len(found := finish(stacks)) == len(losses):
            return stacks, losses
        losses = found


def test_the_grid_is_one_stack_a_variant_and_width() -> None:
    stacks = plan(study(), {})
    assert [(s.width, s.round, len(s.runs), s.runs[0].variant) for s in stacks] == [
        (32, 0, 6, "sp"),
        (32, 0, 6, "mup"),
        (64, 0, 6, "sp"),
        (64, 0, 6, "mup"),
    ]
    assert len({run.run_id for stack in stacks for run in stack.runs}) == 24


@pytest.mark.parametrize("more", [{"mix_variants": True, "stack": 64}, {}])
def test_a_stack_has_one_optimizer(more: dict[str, Any]) -> None:
    stacks, _ = finished_study(study(train={"steps": 5, "optimizer": ["adamw", "lion"]}, **more))
    assert any(stack.round for stack in stacks)  # extensions too
    assert all(len({run.spec.train.optimizer for run in stack.runs}) == 1 for stack in stacks)


@given(cap=st.integers(1, 40), seeds=st.integers(1, 4), count=st.integers(2, 12))
def test_stacks_are_even_and_hold_the_whole_grid_once(cap: int, seeds: int, count: int) -> None:
    spec = study(stack=cap, seeds=list(range(seeds)), lr={"low": 1e-4, "high": 1e-4 * 2 ** (count - 1)})
    stacks = plan(spec, {})
    sizes = [len(s.runs) for s in stacks]
    assert max(sizes) <= cap
    assert max(sizes) - min(sizes) <= 1
    assert len({run.run_id for s in stacks for run in s.runs}) == sum(sizes) == 2 * 2 * seeds * count


def test_a_grid_is_extended_by_rounds_until_its_optimum_is_inside_it() -> None:
    stacks, losses = finished_study(study(lr={"low": "2^-12", "high": "2^-7", "extend": 6}))
    places = sorted({run.index for s in stacks for run in s.runs if run.variant == "sp"})
    assert places == list(range(16))  # the optimum at 14 lies between finished runs
    assert sorted({run.index for s in stacks for run in s.runs if run.variant == "mup"}) == list(range(-4, 6))
    assert sum(math.isinf(loss) for loss in losses.values()) > 0


def test_an_extension_round_is_one_stack_for_all_variants_at_the_width() -> None:
    spec = study()
    stacks = plan_size(spec, Size(32), finish(plan_size(spec, Size(32), {})))
    extension = [stack for stack in stacks if stack.round == 1]
    assert len(extension) == 1
    assert {(run.variant, run.index) for run in extension[0].runs} == {
        ("sp", 6), ("sp", 7), ("mup", -1), ("mup", -2),
    }  # fmt: skip


def test_no_more_rounds_than_the_spec_allows() -> None:
    stacks, _ = finished_study(study(lr={"low": "2^-12", "high": "2^-7", "extend": 2}))
    assert max(stack.round for stack in stacks) == 2
    none, _ = finished_study(study(lr={"low": "2^-12", "high": "2^-7", "extend": 0}))
    assert len(none) == 4


def test_a_failed_run_holds_the_extension_of_its_width_back_and_no_other() -> None:
    spec = study()
    stacks = plan(spec, {})
    losses = finish(stacks)
    del losses[stacks[0].runs[2].run_id]
    assert {stack.width for stack in plan(spec, losses) if stack.round == 1} == {64}


@settings(max_examples=50)
@given(st.data())
def test_whatever_order_results_arrive_in_and_wherever_a_restart_falls_the_plan_is_the_same(
    data: st.DataObject,
) -> None:
    spec = study()
    final, _ = finished_study(spec)
    losses: dict[str, float] = {}
    while missing := [s for s in plan(spec, losses) if s.without(losses)]:
        assert all(stack.without(losses) == stack for stack in missing)  # never a part of a stack
        assert set(ids(missing)) <= set(ids(final))
        losses.update(finish([data.draw(st.sampled_from(missing))]))
    assert ids(plan(spec, losses)) == ids(final)


def test_results_of_another_study_change_nothing() -> None:
    spec, other = study(), study(seeds=[7], lr={"low": "2^-12", "high": "2^-3"})
    foreign = finish(plan(other, {}))
    assert ids(plan(spec, foreign)) == ids(plan(spec, {}))
    _, losses = finished_study(spec)
    assert ids(plan(spec, {**losses, **foreign})) == ids(plan(spec, losses))


def test_of_a_grown_grid_only_new_runs_are_missing() -> None:
    losses = finish(plan(study(), {}))
    grown = study(lr={"low": "2^-12", "high": "2^-6"})
    missing = [todo for s in plan(grown, losses) if (todo := s.without(losses))]
    assert [(s.width, len(s.runs), s.runs[0].index) for s in missing] == [(32, 1, 6)] * 2 + [(64, 1, 6)] * 2


@pytest.mark.parametrize(
    ("loss", "needed"),
    [
        ({0: 4.0, 1: 3.0, 2: 3.5}, ()),
        ({0: 3.0, 1: 3.5, 2: 4.0}, (-2, -1)),
        ({0: 4.0, 1: 3.5, 2: 3.0}, (3, 4)),
        ({0: 4.0, 1: 3.0, 2: math.inf}, ()),
        ({0: 4.0, 1: 3.5, 2: math.inf, 3: 3.0}, (4, 5)),
        ({0: 3.0, 1: math.inf, 2: math.inf}, (-2, -1)),
        ({0: math.inf, 1: math.inf}, (-2, -1)),
        ({0: 3.0}, (-2, -1, 1, 2)),
        ({0: 3.0, 1: 3.0, 2: 3.0}, (-2, -1)),
    ],
)
def test_when_an_optimum_is_bracketed(loss: Mapping[int, float], needed: tuple[int, ...]) -> None:
    assert unbracketed(study(), loss) == needed


def test_a_wider_margin_wants_more_on_each_side_but_nothing_beyond_a_cliff() -> None:
    spec = study(lr={"low": "2^-12", "high": "2^-7", "margin": 2})
    assert unbracketed(spec, {0: 4.0, 1: 3.0, 2: 3.1, 3: 3.5}) == (-2, -1)
    assert unbracketed(spec, {0: 4.0, 1: 3.5, 2: 3.0, 3: 3.1}) == (4, 5)
    assert unbracketed(spec, {0: 4.0, 1: 3.5, 2: 3.0, 3: math.inf}) == ()


@given(st.dictionaries(st.integers(-10, 10), levels, min_size=1))
def test_what_is_added_adjoins_the_grid_on_the_side_of_the_best(loss: dict[int, float]) -> None:
    added = unbracketed(study(), loss)
    assert not set(added) & set(loss)
    for index in added:
        assert index in (min(loss) - 1, min(loss) - 2, max(loss) + 1, max(loss) + 2)


def test_a_diverged_seed_makes_its_lr_diverged() -> None:
    spec = study(seeds=[0, 1], variants=["sp"], widths=[32])
    stacks = plan(spec, {})
    losses = {r.run_id: 4.0 - 0.1 * r.index for s in stacks for r in s.runs}
    assert {r.index for s in plan(spec, losses) if s.round for r in s.runs} == {6, 7}
    top = next(r for s in stacks for r in s.runs if r.index == 5 and r.spec.seed == 1)
    assert not [s for s in plan(spec, {**losses, top.run_id: math.inf}) if s.round]


def test_compiling_is_decided_by_the_grid_of_a_width_alone() -> None:
    spec = study(train={"steps": 300}, widths=[32, 256])
    before = {s.stack_id: s.compiled for s in plan(spec, {})}
    assert {s.width: s.compiled for s in plan(spec, {})} == {32: False, 256: True}
    _, losses = finished_study(spec)
    assert {s.stack_id: s.compiled for s in plan(spec, losses) if not s.round} == before
    assert all(s.compiled for s in plan(study(compile="always"), {}))
    assert not any(s.compiled for s in plan(study(compile="never", widths=[256], train={"steps": 9999}), {}))
