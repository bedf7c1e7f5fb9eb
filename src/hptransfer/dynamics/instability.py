"""The learning rate at which runs become unstable, extrapolated from smaller scales. No torch here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hptransfer.dynamics.study import RunDynamics, StudyDynamics
from hptransfer.dynamics.surface import Crossing, Surface
from hptransfer.errors import DynamicsError

FloatArray = NDArray[np.float64]
Measure = Literal["attention_logit_max", "lr_over_critical"]

# log2 of the level that a measure must not cross: logits of 1e4 (arXiv:2309.14322, inferred) or a chosen
# one; an eta at its critical LR.
EDGES: Mapping[Measure, float] = {"attention_logit_max": math.log2(1e4), "lr_over_critical": 0.0}


@dataclass(frozen=True)
class HoldOutCheck:
    """The surface fitted without the largest scale, against what was measured there.

    Attributes:
        scale: the largest.
        error: root mean square of predicted minus measured log2 of the measure, octaves.
        covered: share of the measured values inside their prediction intervals.
        count: of measured values.
        predicted: crossing, from the smaller scales.
        found: learning rate at which the measured values there cross the edge, interpolated; None where
            they do not.
    """

    scale: float
    error: float
    covered: float
    count: int
    predicted: Crossing
    found: float | None


@dataclass(frozen=True)
class Edge:
    """How a measure of instability depends on learning rate and scale.

    Attributes:
        variant: of the study.
        measure: its name.
        edge: level it must not cross, in the measure's own unit.
        coefficients: of 1, log2 eta, log2 n and, where the data ask for it, (log2 eta)^2, about the means.
        crossings: at the scales asked for.
        holdout: the check; None where too few scales are left.
    """

    variant: str
    measure: Measure
    edge: float
    coefficients: tuple[float, ...]
    crossings: tuple[Crossing, ...]
    holdout: HoldOutCheck | None

    def scale_at(self, hp: float) -> float:
        """The scale from which a learning rate lies beyond the edge, interpolated among the crossings.

        NaN where none of them brackets it.
        """
        known = [(c.scale, c.hp) for c in self.crossings if 0 < c.hp < math.inf]
        for (a, x), (b, y) in pairwise(known):
            if min(x, y) <= hp <= max(x, y) and x != y:
                share = math.log(hp / x) / math.log(y / x)
                return float(a * (b / a) ** share)
        return math.nan


def predict_edge(
    study: StudyDynamics,
    variant: str,
    measure: Measure,
    targets: Sequence[float],
    *,
    edge: float | None = None,
    level: float = 0.95,
) -> Edge:
    """From measured runs, the learning rate at which a measure crosses its edge at each target scale.

    log2(measure) = a + b log2 eta + c log2 n (+ d (log2 eta)^2 where AICc prefers it), fitted to each run's
    largest value over training; a run that diverged before it was probed counts for nothing. Limits by draws
    from the coefficients' t distribution, with an error that scales share as far as residuals show one.

    The measure attention_logit_max is the largest logit of any layer; lr_over_critical is the largest eta /
    critical LR. The form of the surface is inferred: arXiv:2309.14322 fits logits against scale at each LR.

    Args:
        study: of probed runs.
        variant: of the study.
        measure: see above.
        targets: scales.
        edge: in the measure's unit; default 1e4 for logits, 1 for the ratio.
        level: of the limits.

    Raises:
        DynamicsError: the measure is unknown, or there are fewer than two scales, two learning rates or six
            values.
    """
    if measure not in EDGES:
        raise DynamicsError(f"the measure must be one of {', '.join(EDGES)}, but got {measure!r}")
    limit = EDGES[measure] if edge is None else math.log2(edge)
    points = _points(study.of(variant), measure)
    surface = Surface.fitted(points, level, f"{measure} of {variant}")
    crossings = tuple(surface.crossing(float(n), limit) for n in sorted({*map(float, targets)}))
    holdout = _holdout(points, limit, level)
    return Edge(variant, measure, 2.0**limit, tuple(surface.mean), crossings, holdout)


def _points(runs: Sequence[RunDynamics], measure: Measure) -> FloatArray:
    """log2 eta, log2 n and log2 measure of every run that has one, [runs, 3]."""
    rows = np.array([(run.hp, run.scale, largest(run, measure)) for run in runs]).reshape(-1, 3)
    return np.asarray(np.log2(rows[(rows[:, 2] > 0) & np.isfinite(rows[:, 2])]))


def largest(run: RunDynamics, measure: Measure) -> float:
    """A run's largest value of a measure over training; NaN where it was not measured."""
    if run.probes is None:
        return math.nan
    if measure == "lr_over_critical":
        steps, critical = run.series("", "critical_lr")
        at, eta = run.series("", "lr")
        shared = np.isin(at, steps)
        return float((eta[shared] / critical[np.isin(steps, at)]).max()) if shared.any() else math.nan
    values = run.probes.values[:, [row[2] == "attention_logit_max" for row in run.probes.rows]]
    return float(np.nanmax(values)) if np.isfinite(values).any() else math.nan


def _holdout(points: FloatArray, limit: float, level: float) -> HoldOutCheck | None:
    largest_n = points[:, 1].max()
    inside, outside = points[points[:, 1] < largest_n], points[points[:, 1] == largest_n]
    try:
        surface = Surface.fitted(inside, level, "")
    except DynamicsError:
        return None
    predicted, low, high = surface.at(outside[:, 0], largest_n)
    scale, measured = float(2.0**largest_n), outside[:, 2]
    error = math.sqrt(float(((predicted - measured) ** 2).mean()))
    covered = float(((measured >= low) & (measured <= high)).mean())
    crossing = surface.crossing(scale, limit)
    return HoldOutCheck(scale, error, covered, len(outside), crossing, _found(outside, limit))


def _found(points: FloatArray, limit: float) -> float | None:
    """Where the seed means cross the limit going up, between two neighbouring learning rates."""
    means = [(x, points[points[:, 0] == x, 2].mean()) for x in np.unique(points[:, 0])]
    for (x, below), (next_x, above) in pairwise(means):
        if below <= limit < above:
            return float(2.0 ** (x + (limit - below) / (above - below) * (next_x - x)))
    return None
