"""Whatever a sweep table holds, it gets a fit that can be written down, without a warning."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hptransfer.fit import quantify
from hptransfer.sweep.table import SweepTable


def anything(seed: int) -> SweepTable:
    """Basins or none, of any height, width and spacing, with any noise; some runs diverged or absurd."""
    rng = np.random.default_rng(seed)
    smallest, factor = 10.0 ** rng.uniform(-3, 9), 10.0 ** rng.uniform(0.05, 1)
    gain, curvature = 10.0 ** rng.uniform(-12, 6), 10.0 ** rng.uniform(-9, 3)
    noise, spacing = rng.choice([0, 1e-12, 1e-6, 1e-3, 0.1, 10.0]), rng.choice([0.01, 0.25, 0.5, 1, 3, 10])
    level, diverging = rng.choice([0.0, 3.0, 1e3, -5.0]), rng.choice([0.02, 0.1, 0.5])
    rows = []
    for k in range(rng.integers(1, 9)):
        left, drift = rng.uniform(-30, 5), rng.uniform(-1, 1)
        for x in left + spacing * np.arange(rng.integers(1, 14)):
            u = x + 10 + k * drift
            rise = min(curvature * u * u * (1 + 0.3 * np.tanh(u)), 1e6)
            for s in range(rng.integers(1, 4)):
                loss = level + gain * (1 + k) ** -0.5 + rise + noise * rng.standard_normal()
                loss *= rng.choice([1, 1, 1, 1, 1, 1, 1, 1, 10, 0.1, -1])
                diverged = rng.random() < diverging
                rows.append(
                    (smallest * factor**k, 2.0**x, str(s), rng.choice([np.nan, np.inf]) if diverged else loss)
                )
    n, hp, seeds, losses = (np.array(column) for column in zip(*rows, strict=True))
    return SweepTable(np.full(len(n), "v"), n, hp, seeds, losses)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32 - 1))
def test_every_sweep_has_a_fit(seed: int) -> None:
    sweep = anything(seed)
    beyond = 10.0 * float(sweep.scale.max())
    fit = json.loads(quantify(sweep, targets=(beyond,), draws=100).to_json())
    assert fit["variants"]["v"]["verdict"]["value"] in (
        "invariant",
        "predictable",
        "unpredictable",
        "undecided",
    )
