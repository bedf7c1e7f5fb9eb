"""What the dynamics section shows, before anything draws it: which runs, which rows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hptransfer.dynamics.study import RunDynamics, StudyDynamics

FloatArray = NDArray[np.float64]

POINTS = 120  # of a curve that are drawn
LINES = 12  # curves in one panel


def scales_of(study: StudyDynamics) -> list[float]:
    """Every scale, ascending."""
    return sorted({run.scale for run in study.runs})


def representative(runs: Sequence[RunDynamics]) -> list[RunDynamics]:
    """One seed's runs, by learning rate; at most `LINES`, evenly taken."""
    seeds = sorted({run.seed for run in runs})
    first = sorted((run for run in runs if run.seed == seeds[0]), key=lambda run: run.hp) if seeds else []
    if len(first) <= LINES:
        return first
    return [first[i] for i in np.linspace(0, len(first) - 1, LINES).round().astype(int)]


def best(runs: Sequence[RunDynamics]) -> RunDynamics | None:
    """The finished, probed run with the lowest loss; None where there is none."""
    found = [r for r in runs if r.status == "done" and r.probes is not None and math.isfinite(r.loss)]
    return min(found, key=lambda run: run.loss, default=None)


def curve(run: RunDynamics) -> tuple[list[int], FloatArray]:
    """Steps and losses, thinned to `POINTS`; the highest value of each stretch is kept, so spikes stay."""
    steps, losses = np.array(run.steps, dtype=int), np.array(run.curve, dtype=float)
    if len(steps) <= POINTS:
        return steps.tolist(), losses
    parts = np.array_split(np.arange(len(steps)), POINTS)
    kept = [int(part[np.argmax(np.where(np.isnan(losses[part]), -np.inf, losses[part]))]) for part in parts]
    return steps[kept].tolist(), losses[kept]


def heat_rows(run: RunDynamics, name: str) -> tuple[list[str], FloatArray]:
    """Layers that have a probe, in the model's order, and its values, [layers, steps]."""
    if run.probes is None:
        return [], np.zeros((0, 0))
    columns = [i for i, row in enumerate(run.probes.rows) if row[2] == name and row[0]]
    return [run.probes.rows[i][0] for i in columns], run.probes.values[:, columns].T
