"""Where a loss curve goes up its cliff as the learning rate rises, and how far seeds differ in it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import f as f_law

from hptransfer.quantify.result import Estimate
from papers.data import LEVEL


def critical(runs: pd.DataFrame, rise: float) -> pd.Series:
    """The critical learning rate of each curve of loss, in the units of column `x`, by width and seed.

    It is where the loss, right of its lowest, first lies `rise` nats above it: on a straight line between two
    learning rates, or at the first one that has no loss. A curve that never does has none.

    Args:
        runs: A row a run; columns width, seed, x (log2 of the learning rate) and loss, NaN where it diverged.
        rise: Nats above the lowest loss.
    """
    found = {}
    for key, curve in runs.sort_values("x").groupby(["width", "seed"]):
        x, height = curve["x"].to_numpy(), (curve["loss"] - curve["loss"].min()).to_numpy()
        start = int(np.nanargmin(height))
        above = np.flatnonzero(~(height[start:] < rise))
        if len(above):
            i = start + int(above[0])
            part = (rise - height[i - 1]) / (height[i] - height[i - 1])
            found[key] = x[i] if np.isnan(part) else x[i - 1] + part * (x[i] - x[i - 1])
    index = pd.MultiIndex.from_arrays([[key[i] for key in found] for i in range(2)], names=["width", "seed"])
    return pd.Series(list(found.values()), index, dtype=float)


def spread(places: pd.Series) -> tuple[float, int]:
    """Standard deviation over seeds, pooled over widths, and its degrees of freedom."""
    by_width = places.groupby(level="width")
    left = places - by_width.transform("mean")
    freedom = len(left) - by_width.ngroups
    return (float(np.sqrt(np.sum(left**2) / freedom)) if freedom else float("nan")), freedom


def spread_gap(first: pd.Series, second: pd.Series) -> Estimate:
    """log2 of the first spread over the second, with the interval of the ratio of two variances (F)."""
    (a, of_a), (b, of_b) = spread(first), spread(second)
    if not (of_a and of_b and a > 0 and b > 0):
        return Estimate()
    value = float(np.log2(a / b))
    ends = f_law.ppf([(1 + LEVEL) / 2, (1 - LEVEL) / 2], of_a, of_b)
    low, high = (value - float(np.log2(end)) / 2 for end in ends)
    return Estimate(value, low, high)
