"""Main effects and two-way interactions of the four switches, from the 16 parametrizations or most of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from papers.data import LEVEL, Draws, switches_of
from scipy.stats import t as student

from hptransfer.parametrization.catalogue import SWITCHES
from hptransfer.quantify.result import Estimate
from hptransfer.sweep.table import FloatArray

MAIN = tuple(SWITCHES)
PAIRS = tuple(f"{a} x {b}" for a, b in combinations(SWITCHES, 2))
TERMS = (*MAIN, *PAIRS)
LEAST_LEFT_OVER = 2  # degrees of freedom of the residuals below which there is no interval


@dataclass(frozen=True)
class Effect:
    """What throwing a switch changes on average over the others; of a pair, by how much one changes the other's.

    Attributes:
        by_spread: least squares; the interval is from what higher interactions and noise leave over, so it says
            how far the effect can be told from an accident of these 16.
        by_noise: the interval is from the draws of each variant alone: of these 16 variants as they are, how
            well the runs determine the effect. Without limits where no draws are known.
    """

    by_spread: Estimate
    by_noise: Estimate


def effects(values: Mapping[str, float | Draws]) -> dict[str, Effect]:
    """Every effect on a quantity, from its value by rule; rules that are missing or not finite are left out.

    The model has the mean, the four main effects and the six interactions, with switches coded as -1/2 and 1/2,
    so that a main effect is the mean difference between thrown and not, and an interaction is the difference of
    two such differences.
    """
    points = {rule: v.value if isinstance(v, Draws) else v for rule, v in values.items()}
    rules = [rule for rule, point in points.items() if np.isfinite(point)]
    design = np.array([_row(rule) for rule in rules]).reshape(len(rules), 1 + len(TERMS))
    if np.linalg.matrix_rank(design) < design.shape[1]:
        return dict.fromkeys(TERMS, Effect(Estimate(), Estimate()))
    y = np.array([points[rule] for rule in rules])
    inverse = np.linalg.inv(design.T @ design)
    found = inverse @ design.T @ y
    half = _half_widths(y - design @ found, np.diag(inverse))
    noise = _noise_limits([values[rule] for rule in rules], inverse @ design.T)
    out = {}
    for i, term in enumerate(TERMS, start=1):
        spread = Estimate(found[i], found[i] - half[i], found[i] + half[i]) if half is not None else Estimate(found[i])
        out[term] = Effect(spread, Estimate(found[i], *noise[i]) if noise is not None else Estimate(found[i]))
    return out


def _row(rule: str) -> list[float]:
    """The mean, main effects and interactions of one rule."""
    thrown = switches_of(rule)
    codes = [0.5 if switch in thrown else -0.5 for switch in SWITCHES]
    return [1.0, *codes, *(a * b for a, b in combinations(codes, 2))]


def _half_widths(residual: FloatArray, leverage: FloatArray) -> FloatArray | None:
    """Half-widths of the terms' intervals, by Student's t."""
    freedom = len(residual) - len(leverage)
    if freedom < LEAST_LEFT_OVER:
        return None
    error = np.sqrt(residual @ residual / freedom * leverage)
    return np.asarray(student.ppf((1 + LEVEL) / 2, freedom) * error)


def _noise_limits(values: list[float | Draws], project: FloatArray) -> FloatArray | None:
    """Limits of the terms, [terms, 2], from draws that belong together."""
    if not all(isinstance(v, Draws) for v in values):
        return None
    drawn = np.array([v.draws for v in values if isinstance(v, Draws)])
    ends = np.nanquantile(project @ drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1)
    return np.asarray(ends.T)


def spearman(a: FloatArray, b: FloatArray) -> float:
    """Rank correlation of two arrays of one length."""
    ranks = [np.argsort(np.argsort(v)).astype(float) for v in (a, b)]
    return float(np.corrcoef(*ranks)[0, 1])
