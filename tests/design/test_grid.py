from __future__ import annotations

import math

import numpy as np
import pytest

from hptransfer.design.grid import CandidateGrid, Observations, Proposal

GRID = CandidateGrid(
    scales=np.array([32.0, 64.0]),
    cost=np.array([1.0, 4.0]),
    x={("b", 0): np.array([-8.0, -7.5, -7.0]), ("b", 1): np.array([-8.0]), ("a", 0): np.array([-8.0, -6.0])},
    start={("b", 0): (0, 2), ("b", 1): (0, 0), ("a", 0): (0, 1)},
    seeds=2,
    shift=np.array([0.0, 1.0]),
    target=512.0,
)


def observed() -> Observations:
    found = Observations()
    for place, seed, loss in ((2, 0, 3.0), (0, 1, 2.0), (0, 0, 4.0), (1, 0, math.inf)):
        found.add(Proposal("b", 0, place, seed), loss)
    found.add(Proposal("b", 1, 0, 0), 2.5)
    return found


def test_variants_are_in_order_of_appearance() -> None:
    assert GRID.variants == ("b", "a")


def test_the_nearest_place_and_the_step_between_places() -> None:
    assert [GRID.nearest(("b", 0), x) for x in (-9.0, -7.6, -7.1)] == [0, 1, 2]
    assert GRID.step(("b", 0)) == 0.5
    assert GRID.step(("a", 0)) == 2.0
    assert GRID.step(("b", 1)) == 1.0  # a single place has no step


def test_losses_are_averaged_by_place_and_a_diverged_seed_is_infinite() -> None:
    found = observed()
    assert found.mean_losses(("b", 0)) == {0: 3.0, 1: math.inf, 2: 3.0}
    assert list(found.mean_losses(("b", 0))) == [0, 1, 2]
    assert found.mean_losses(("a", 0)) == {}
    assert [found.count(("b", 0), place) for place in range(4)] == [2, 1, 1, 0]
    assert found.runs == 5


def test_a_run_made_again_replaces_the_first() -> None:
    found = observed()
    found.add(Proposal("b", 0, 0, 0), 6.0)
    assert found.mean_losses(("b", 0))[0] == 4.0
    assert found.runs == 5


def test_the_table_is_in_the_coordinates_that_are_quantified() -> None:
    table = observed().sweep_table(GRID)
    assert table is not None
    assert table.variant.tolist() == ["b"] * 5
    assert table.scale.tolist() == [32.0] * 4 + [64.0]
    assert table.hp.tolist() == [2.0**-8, 2.0**-8, 2.0**-7.5, 2.0**-7, 2.0**-7]  # shifted at 64 by an octave
    assert table.seed.tolist() == ["0", "1", "0", "0", "0"]
    assert table.loss.tolist() == pytest.approx([4.0, 2.0, math.nan, 3.0, 2.5], nan_ok=True)  # diverged


def test_there_is_no_table_before_a_run_has_finished() -> None:
    found = Observations()
    assert found.sweep_table(GRID) is None
    found.add(Proposal("b", 0, 0, 0), math.inf)
    assert found.sweep_table(GRID) is None
