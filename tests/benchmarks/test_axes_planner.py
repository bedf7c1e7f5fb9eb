"""The comparison of planners over several axes: what it records, and what it lets a method spend."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

from hptransfer.design.grid import Observations


@pytest.fixture(scope="module")
def planner(benchmark_module: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_module("axes_planner")


def test_a_record_has_every_run_by_price(planner: ModuleType) -> None:
    study = planner.simulate_axes("grid", "scatter", 2, 0)
    found = planner.record(study)
    assert sum(map(len, found.losses.values())) == len(study.sweep)
    assert (np.diff(found.space.cost) >= 0).all()
    assert found.space.target == tuple(study.truth.places[-1])


@pytest.mark.parametrize("kind", ["random", "cheapest", "smaller grid"])
def test_no_method_spends_more_than_its_share(planner: ModuleType, kind: str) -> None:
    study = planner.record(planner.simulate_axes("grid", "scatter", 2, 0))
    shares = (0.1, 0.4, 1.0)
    asks = planner.everything(study, np.random.default_rng(0), study.flops, kind)
    found = []
    for seen in planner.at_shares(study, asks, Observations(), shares):
        cells = ((k, cell) for (_, k), places in seen.losses.items() for cell in places.values())
        found.append(sum(float(study.space.cost[k]) * len(cell) for k, cell in cells) / study.flops)
    assert all(0 < at <= share * (1 + 1e-6) for at, share in zip(found, shares, strict=True))
    assert found[-1] == pytest.approx(1.0 if kind != "smaller grid" else 0.5, abs=0.1)
