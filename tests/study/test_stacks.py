from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st
from small_study import study

from hptransfer.runs.flops import run_flops
from hptransfer.study.planner import plan
from hptransfer.study.stacks import Stack, cut


def stack() -> Stack:
    return plan(study(train={"steps": 70}), {})[0]


@given(st.lists(st.integers(), max_size=60), st.integers(1, 20))
def test_parts_are_as_few_and_as_equal_as_can_be(items: list[int], most: int) -> None:
    parts = cut(items, most)
    assert [item for part in parts for item in part] == items
    assert len(parts) == -(-len(items) // most)
    sizes = [len(part) for part in parts]
    assert max(sizes, default=0) <= most
    assert max(sizes, default=0) - min(sizes, default=0) <= 1


def test_a_stack_adds_up_its_runs() -> None:
    found = stack()
    assert (len(found.runs), found.steps) == (6, 70)
    assert found.flops == 6 * run_flops(found.runs[0].spec)


def test_the_id_is_of_the_runs_and_of_how_they_are_trained() -> None:
    found = stack()
    assert found.stack_id == stack().stack_id
    reversed_ = dataclasses.replace(found, runs=found.runs[::-1])
    compiled = dataclasses.replace(found, compiled=not found.compiled)
    assert len({found.stack_id, reversed_.stack_id, compiled.stack_id}) == 3
    assert dataclasses.replace(found, round=1).stack_id == found.stack_id


def test_what_is_finished_is_left_out() -> None:
    found = stack()
    losses = {run.run_id: 3.0 for run in found.runs}
    assert found.without({}) == found
    assert found.without(losses) is None
    last = found.runs[-1]
    rest = found.without({k: v for k, v in losses.items() if k != last.run_id})
    assert rest is not None
    assert (rest.runs, rest.width, rest.round) == ((last,), found.width, found.round)
