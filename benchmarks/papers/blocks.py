"""Rules compared by the lowest loss that each seed reached: seeds are blocks, since runs share their data."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from hptransfer.quantify.result import Estimate
from papers.data import LEVEL


def lowest(runs: pd.DataFrame) -> pd.DataFrame:
    """The lowest loss over learning rates at the largest width, nats: a row a seed, a column a variant."""
    here = runs[runs["width"] == runs["width"].max()]
    return pd.DataFrame(here.groupby(["seed", "variant"])["loss"].min().unstack())


def contrast(losses: pd.DataFrame, weights: Mapping[str, float]) -> Estimate:
    """A weighted sum of the variants' mean losses whose weights add up to 0, with its interval.

    The noise is what a sum of variant and seed leaves of all losses (randomized blocks): it is shared by all
    variants, so that two seeds are enough where there are many of them.
    """
    left = losses.sub(losses.mean(axis=1), axis=0)
    left = left - left.mean(axis=0)
    seeds, variants = losses.shape
    freedom = (seeds - 1) * (variants - 1)
    value = float(sum(weight * losses[name].mean() for name, weight in weights.items()))
    if not freedom:
        return Estimate(value)
    noise = float(np.sqrt((left.to_numpy() ** 2).sum() / freedom))
    length = float(np.sqrt(sum(weight**2 for weight in weights.values()) / seeds))
    half = float(stdtrit(freedom, (1 + LEVEL) / 2)) * noise * length
    return Estimate(value, value - half, value + half)
