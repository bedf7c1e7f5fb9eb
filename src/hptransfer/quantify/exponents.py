"""Exponents of the three laws, and kappa, with their posterior draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hptransfer.quantify.law.laws import Laws
from hptransfer.sweep.table import FloatArray

LN2 = float(np.log(2.0))


@dataclass(frozen=True)
class Quantity:
    """A point estimate with its posterior draws, shape [B], and why not to trust it."""

    value: float
    draws: FloatArray
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Exponents:
    """All are d log / d log, but for the offset family's rate."""

    alpha: Quantity  # of the loss law; NaN in draws where the loss does not fall with scale
    drift: Quantity  # of eta*, the slope of its power law
    beta: Quantity  # of the optimum's power law, minus the drift
    gamma: Quantity  # of the raw curvature H = d2L/d eta2
    beta_offset: Quantity | None  # of the offset family; None where that was not fitted

    def kappa(self, beta: Quantity) -> Quantity:
        """Alpha - 2 beta + gamma (code, arXiv:2605.21486), with the beta of the family given."""
        value = self.alpha.value - 2 * beta.value + self.gamma.value
        flags = tuple(dict.fromkeys((*self.alpha.flags, *beta.flags)))
        return Quantity(value, self.alpha.draws - 2 * beta.draws + self.gamma.draws, flags)


def exponents(laws: Laws) -> Exponents:
    """The exponents of one variant's laws."""
    power, curvature = laws.families["power"], laws.log_curvature
    slope, slopes = float(power.parameters[1]), power.draws[:, 1]
    # The log curvature is natural, its scale binary: d ln h / d log2 n becomes d log h / d log n.
    h, h_draws = float(curvature.parameters[1]) / LN2, curvature.draws[:, 1] / LN2
    rate = None
    if offset := laws.families.get("offset"):
        rate = Quantity(float(offset.parameters[1]), offset.draws[:, 1], offset.flags)
    return Exponents(
        alpha=Quantity(laws.loss.alpha, laws.loss.alpha_draws, laws.loss.flags),
        drift=Quantity(slope, slopes),
        beta=Quantity(-slope, -slopes),
        # H = h / (eta* ln 2)**2, so its exponent is that of h less twice that of eta*.
        gamma=Quantity(h - 2 * slope, h_draws - 2 * slopes),
        beta_offset=rate,
    )
