"""A line through a quantity at every scale, under every size of its departures from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hptransfer.quantify.basin import batched_linalg
from hptransfer.quantify.law.scatter import Scatters
from hptransfer.quantify.priors import LAW
from hptransfer.sweep.table import FloatArray


@dataclass(frozen=True)
class Solved:
    """Generalised least squares under every departure; S departures, P parameters, K scales."""

    project: FloatArray  # the quantity to parameters, [S, P, K]
    pull: FloatArray  # a prior slope's part in the parameters, [S, P]
    points: FloatArray  # parameters, [S, P]
    errors: FloatArray  # their covariance, [S, P, P]
    chi2: FloatArray  # [S]
    likelihood: FloatArray  # log of the quantity's probability, but for a constant, [S]


def solve(
    basis: FloatArray, y: FloatArray, every: Scatters, slope: tuple[float, float] | None = None
) -> Solved:
    """The parameters of `basis` [K, P] for y [K]; the second, where there is one, is a slope.

    `slope` is the mean and sd of a normal prior on it; None where nothing is known, whose density counts as
    one spread over `LAW.slope_sd`.
    """
    count = basis.shape[1]
    mean, sd = slope or (0.0, LAW.slope_sd)
    weight = 0.0 if slope is None else sd**-2
    weighted = basis.T @ every.inverse
    inverse, log_det = batched_linalg.inverse(weighted @ basis + np.diag([0.0, weight][:count]))
    project, pull = inverse @ weighted, inverse[:, :, -1] * weight
    points = project @ y + pull * mean
    residual = y - points @ basis.T
    chi2 = np.einsum("sk,skl,sl->s", residual, every.inverse, residual)
    apart = weight * (points[:, -1] - mean) ** 2
    likelihood = -0.5 * (chi2 + apart + every.log_det + log_det)
    if count > 1:
        likelihood = likelihood - np.log(sd)
    return Solved(project, pull, points, inverse, chi2, likelihood)
