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
from hptransfer.errors import DynamicsError

FloatArray = NDArray[np.float64]
Measure = Literal["attention_logit_max", "lr_over_critical"]

# log2 of the level that a measure must not cross: logits of 1e4 (arXiv:2309.14322, inferred) or a chosen
# one; an eta at its critical LR.
EDGES: Mapping[Measure, float] = {"attention_logit_max": math.log2(1e4), "lr_over_critical": 0.0}
DRAWS = 2000  # of the coefficients, for limits
SEED = 0  # of the draws
_FEWEST = 6  # points that a surface of three coefficients is fitted to


@dataclass(frozen=True)
class Crossing:
    """Where a measure is expected to cross its edge at one scale.

    Attributes:
        scale: n.
        hp: learning rate of the crossing; inf or 0 where the measure does not reach the edge.
        low, high: limits.
    """

    scale: float
    hp: float
    low: float
    high: float


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
    surface = _Surface.fitted(points, level, f"{measure} of {variant}")
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


@dataclass(frozen=True)
class _Surface:
    """A fitted surface with draws of its coefficients."""

    centre: FloatArray  # means of log2 eta and log2 n
    mean: FloatArray  # coefficients
    draws: FloatArray  # [draws, coefficients]
    shared: FloatArray  # [draws], a new scale's own deviation
    noise: float  # residual standard deviation
    dof: int
    level: float
    reach: tuple[float, float]  # log2 eta between which a crossing is looked for

    @staticmethod
    def fitted(points: FloatArray, level: float, what: str) -> _Surface:
        scales, rates = (len(set(points[:, i].tolist())) for i in (1, 0))
        if scales < 2 or rates < 2 or len(points) < _FEWEST:
            raise DynamicsError(
                f"a limit of stability needs two scales, two learning rates and {_FEWEST} probed runs, but "
                f"{what} has {scales}, {rates} and {len(points)}"
            )
        centre = points[:, :2].mean(axis=0)
        fits = [_least_squares(_design(points, centre, square), points[:, 2]) for square in (False, True)]
        mean, covariance, residual, dof = min(fits, key=lambda fit: _aicc(fit[2], len(fit[0])))
        rng = np.random.default_rng(SEED)
        stretch = np.sqrt(dof / rng.chisquare(dof, DRAWS))[:, None]
        draws = mean + stretch * rng.multivariate_normal(np.zeros(len(mean)), covariance, DRAWS)
        shared = _between(points[:, 1], residual) * stretch[:, 0] * rng.normal(size=DRAWS)
        low, high = points[:, 0].min(), points[:, 0].max()
        reach = (low - 2 * (high - low) - 10, high + 2 * (high - low) + 10)
        noise = math.sqrt(float((residual**2).sum()) / dof)
        return _Surface(centre, mean, draws, shared, noise, dof, level, reach)

    def at(self, x: FloatArray, n: float) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Predicted log2 of the measure with limits that hold a new run's, each of x's shape."""
        design = _design(np.column_stack([x, np.full(len(x), n)]), self.centre, len(self.mean) == 4)
        noise = np.random.default_rng(len(x)).standard_t(self.dof, (len(x), DRAWS))
        sampled = design @ self.draws.T + self.shared + self.noise * noise
        low, high = np.quantile(sampled, [(1 - self.level) / 2, (1 + self.level) / 2], axis=1)
        return design @ self.mean, low, high

    def crossing(self, scale: float, limit: float) -> Crossing:
        """The smallest eta at which the surface rises through the limit, with limits."""
        n = math.log2(scale)
        middle = self._root(self.mean[None], np.zeros(1), n, limit)[0]
        roots = self._root(self.draws, self.shared, n, limit)
        low, high = np.quantile(roots, [(1 - self.level) / 2, (1 + self.level) / 2], method="nearest")
        return Crossing(scale, *(float(2.0**x) for x in (middle, low, high)))

    def _root(self, coefficients: FloatArray, shared: FloatArray, n: float, limit: float) -> FloatArray:
        """log2 eta of the rising crossing by draw; inf: none in reach, -inf: all is beyond."""
        scale = n - self.centre[1]
        a = coefficients[:, 0] + coefficients[:, 2] * scale + shared - limit
        b = coefficients[:, 1]
        d = coefficients[:, 3] if coefficients.shape[1] == 4 else np.zeros_like(b)
        inside = b**2 - 4 * d * a
        with np.errstate(divide="ignore", invalid="ignore"):
            bent = (-b + np.sqrt(inside)) / (2 * d)  # of the two roots the one where the surface rises
            root = self.centre[0] + np.where(d == 0, np.where(b > 0, -a / b, np.nan), bent)
        low, high = self.reach
        # Where it does not cross, the value in the middle says on which side it stays.
        over, under = (root > high, root < low)
        none = np.isnan(root)
        return np.select([over | (none & (a <= 0)), under | none], [np.inf, -np.inf], root)


def _design(points: FloatArray, centre: FloatArray, square: bool) -> FloatArray:
    x, n = (points[:, :2] - centre).T
    return np.column_stack([np.ones_like(x), x, n, *([x**2] if square else [])])


def _least_squares(design: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, int]:
    inverse = np.linalg.pinv(design.T @ design)
    mean = inverse @ design.T @ y
    residual = y - design @ mean
    dof = max(len(y) - design.shape[1], 1)
    return mean, inverse * float((residual**2).sum()) / dof, residual, dof


def _aicc(residual: FloatArray, coefficients: int) -> float:
    n, k = len(residual), coefficients + 1
    if n - k - 1 <= 0:
        return math.inf
    return n * math.log(float((residual**2).mean()) + 1e-12) + 2 * k + 2 * k * (k + 1) / (n - k - 1)


def _between(scales: FloatArray, residual: FloatArray) -> float:
    """Standard deviation that the residuals of one scale share, by moments."""
    groups = [residual[scales == n] for n in np.unique(scales)]
    within = float(np.mean([g.var(ddof=1) if len(g) > 1 else 0.0 for g in groups]))
    size = float(np.mean([len(g) for g in groups]))
    means = np.array([g.mean() for g in groups])
    dof = max(len(groups) - 2, 1)  # two coefficients went into the scales' means
    return math.sqrt(max(float((means**2).sum()) / dof - within / size, 0.0))


def _holdout(points: FloatArray, limit: float, level: float) -> HoldOutCheck | None:
    largest_n = points[:, 1].max()
    inside, outside = points[points[:, 1] < largest_n], points[points[:, 1] == largest_n]
    try:
        surface = _Surface.fitted(inside, level, "")
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
