"""Main effects and two-way interactions of the four switches, from the 16 parametrizations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import norm, spearmanr
from scipy.stats import t as student

from hptransfer.parametrization.catalogue import SWITCHES
from hptransfer.quantify.result import Estimate
from hptransfer.sweep.table import FloatArray
from papers.data import LEVEL, Draws, switches_of

MAIN = tuple(SWITCHES)
PAIRS = tuple(f"{a} x {b}" for a, b in combinations(SWITCHES, 2))
TERMS = (*MAIN, *PAIRS)
LEAST_RANKED = 5  # points of a rank correlation
RANK_FACTOR = 1.03  # by which ranks spread Fisher's z more than values do (Fieller, Hartley and Pearson 1957)
LEAST_LEFT_OVER = 2  # degrees of freedom of the residuals below which there is no interval


@dataclass(frozen=True)
class Effect:
    """What throwing a switch changes on average; of a pair, by how much one changes the other's effect.

    Attributes:
        by_spread: least squares; the interval is from what is left over (of a main effect: interactions and
            noise; of an interaction: higher ones and noise), so it says how far the effect can be told from
            an accident of these 16.
        by_noise: the interval is from the draws of each variant alone: of these 16 variants as they are, how
            well the runs determine the effect. Without limits where no draws are known.
    """

    by_spread: Estimate
    by_noise: Estimate


def effects(values: Mapping[str, float | Draws]) -> dict[str, Effect]:
    """Every effect on a quantity, from its value by rule; rules that are missing or not finite are left out.

    The model has the mean, the four main effects and the six interactions, with switches coded as -1/2 and
    1/2, so that a main effect is the mean difference between thrown and not, and an interaction is the
    difference of two such differences.
    """
    points = {rule: v.value if isinstance(v, Draws) else v for rule, v in values.items()}
    rules = [rule for rule, point in points.items() if np.isfinite(point)]
    design = np.array([_row(rule) for rule in rules]).reshape(len(rules), 1 + len(TERMS))
    if np.linalg.matrix_rank(design) < design.shape[1]:
        return dict.fromkeys(TERMS, Effect(Estimate(), Estimate()))
    y = np.array([points[rule] for rule in rules])
    additive, full = _fit(design[:, : 1 + len(MAIN)], y), _fit(design, y)
    spread = [*additive[1:], *full[1 + len(MAIN) :]]
    noise = _noise_limits([values[rule] for rule in rules], np.linalg.pinv(design)[1:])
    return {
        term: Effect(item, Estimate(of_16, *limits))
        for term, item, of_16, limits in zip(
            TERMS, spread, np.linalg.pinv(design)[1:] @ y, noise, strict=True
        )
    }


def _fit(design: FloatArray, y: FloatArray) -> list[Estimate]:
    """Least squares with intervals by Student's t; without limits where too little is left over."""
    inverse = np.linalg.inv(design.T @ design)
    found = inverse @ design.T @ y
    residual, freedom = y - design @ found, design.shape[0] - design.shape[1]
    if freedom < LEAST_LEFT_OVER:
        return [Estimate(float(v)) for v in found]
    half = student.ppf((1 + LEVEL) / 2, freedom) * np.sqrt(residual @ residual / freedom * np.diag(inverse))
    return [Estimate(float(v), float(v - h), float(v + h)) for v, h in zip(found, half, strict=True)]


def _row(rule: str) -> list[float]:
    """The mean, main effects and interactions of one rule."""
    thrown = switches_of(rule)
    codes = [0.5 if switch in thrown else -0.5 for switch in SWITCHES]
    return [1.0, *codes, *(a * b for a, b in combinations(codes, 2))]


def _noise_limits(
    values: Sequence[float | Draws], project: FloatArray
) -> list[tuple[float | None, float | None]]:
    """Limits of each term from draws that belong together; none without draws."""
    drawn = np.array([v.draws for v in values if isinstance(v, Draws)])
    if len(drawn) < len(values):
        return [(None, None)] * len(project)
    ends = np.nanquantile(project @ drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1)
    return [(float(low), float(high)) for low, high in ends.T]


@dataclass(frozen=True)
class Rank:
    """Spearman's rank correlation over so many points."""

    value: float
    points: int

    @property
    def estimate(self) -> Estimate:
        """With its 95% interval by Fisher's transformation."""
        return mean_rank([self])


def spearman(a: Mapping[str, float], b: Mapping[str, float]) -> Rank:
    """Rank correlation of two quantities over the rules that have both."""
    both = [rule for rule in a if rule in b and np.isfinite(a[rule]) and np.isfinite(b[rule])]
    if len(both) < LEAST_RANKED:
        return Rank(float("nan"), len(both))
    found = spearmanr([a[rule] for rule in both], [b[rule] for rule in both])
    return Rank(float(found.statistic), len(both))


def mean_rank(ranks: Sequence[Rank]) -> Estimate:
    """Several correlations as one, each counted as independent of the others."""
    known = [r for r in ranks if np.isfinite(r.value)]
    if not known:
        return Estimate()
    weight = np.array([r.points - 3.0 for r in known])
    centre = float(weight @ np.arctanh([np.clip(r.value, -0.999, 0.999) for r in known]) / weight.sum())
    half = RANK_FACTOR * float(norm.ppf((1 + LEVEL) / 2)) / float(np.sqrt(weight.sum()))
    value, low, high = np.tanh([centre, centre - half, centre + half])
    return Estimate(float(value), float(low), float(high))
