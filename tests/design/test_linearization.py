from __future__ import annotations

import numpy as np
import pytest
from small_study import adaptive_study

from hptransfer.design.grid import Observations, Proposal
from hptransfer.design.linearization import linearization_point
from hptransfer.design.round_fit import fit_round
from hptransfer.study.rounds import candidate_grid


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
