"""Shares of runs, and the learning rate beyond which runs fail, with intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import norm

from hptransfer.quantify.result import Estimate
from hptransfer.sweep.table import BoolArray, FloatArray
from papers.data import LEVEL

Z = float(norm.ppf((1 + LEVEL) / 2))
WIDTHS = np.geomspace(0.1, 1.0, 15)  # octaves over which failure sets in, that are thought of
EDGE_STEPS = 400


def share(hits: int, of: int) -> Estimate:
    """A share of runs with Wilson's interval."""
    if of == 0:
        return Estimate()
    p, spread = hits / of, Z * Z / of
    centre = (p + spread / 2) / (1 + spread)
    half = Z / (1 + spread) * float(np.sqrt(p * (1 - p) / of + spread / (4 * of)))
    return Estimate(p, max(centre - half, 0.0), min(centre + half, 1.0))


def share_difference(hits: Sequence[int], of: Sequence[int]) -> Estimate:
    """First share minus second, by Newcombe's interval (two Wilson intervals joined)."""
    a, b = (share(h, n) for h, n in zip(hits, of, strict=True))
    if None in (a.value, a.low, a.high, b.value, b.low, b.high):
        return Estimate()
    value = a.value - b.value  # type: ignore[operator]
    down = np.hypot(a.value - a.low, b.high - b.value)  # type: ignore[operator]
    up = np.hypot(a.high - a.value, b.value - b.low)  # type: ignore[operator]
    return Estimate(value, float(value - down), float(value + up))


def failure_edge(x: FloatArray, failed: BoolArray) -> Estimate:
    """log2 of the learning rate at which half of the runs fail, from runs at log2 learning rates x [runs].

    A logistic curve whose position and width are both averaged over: flat in the position from an octave left
    of the lowest learning rate to two right of the highest, flat in the logarithm of the width. Where no run
    failed, only the lower limit is known.
    """
    place = np.linspace(x.min() - 1.0, x.max() + 2.0, EDGE_STEPS)
    z = (x - place[:, None, None]) / WIDTHS[:, None]
    log_likelihood = -np.logaddexp(0.0, np.where(failed, -z, z)).sum(axis=-1)  # [places, widths]
    weight = np.exp(log_likelihood - log_likelihood.max()).sum(axis=1)
    total = np.cumsum(weight) / weight.sum()
    low, middle, high = (
        float(place[np.searchsorted(total, q)]) for q in ((1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2)
    )
    if not failed.any():
        return Estimate(float(x.max()), low, None, ("none failed",))
    return Estimate(middle, low, high)
