from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_study import adaptive_study

from hptransfer.design.bracket import expected_optimum, missing_places
from hptransfer.design.grid import CandidateGrid
from hptransfer.study.rounds import candidate_grid


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
