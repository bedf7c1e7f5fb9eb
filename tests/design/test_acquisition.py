from __future__ import annotations

import math

import numpy as np
from small_study import adaptive_study, finished

from hptransfer.design.acquisition import best_move
from hptransfer.design.bracket import brackets
from hptransfer.design.grid import CandidateGrid, Observations, Proposal
from hptransfer.design.information import Information, LinearizationPoint
from hptransfer.study.rounds import candidate_grid


def information(observed: Observations | None = None) -> tuple[CandidateGrid, Information]:
    grid = candidate_grid(adaptive_study())
    flat = LinearizationPoint(np.full(4, -6.0), np.full(4, math.log(0.1)), 0.005, 0.05)
    return grid, Information(grid, "sp", flat, observed or Observations())


def test_no_move_where_every_run_is_made() -> None:
    grid, info = information()
    for key in info.count:
        info.count[key] = grid.seeds
    observed = Observations()
    for k in range(4):
        for place in range(len(grid.x["sp", k])):
            observed.add(Proposal("sp", k, place, 0), 3.0 + abs(place - 12))
    round_fit = brackets(grid, observed, "sp")
    assert not round_fit.openings
    assert len(round_fit.optima) == 4
    assert best_move(grid, info, round_fit, "prediction", opened=False) is None


def test_a_law_is_not_trusted_further_than_eight_times_while_larger_widths_are_left() -> None:
    spec = adaptive_study(targets=[2048], adaptive={"precision": 50.0})
    stacks, _ = finished(spec)
    assert max(s.width for s in stacks) == 256
    near, _ = finished(adaptive_study(targets=[512], adaptive={"precision": 50.0}))
    assert max(s.width for s in near) == 128
