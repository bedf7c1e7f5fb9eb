"""What is known of a variant before its own optima are looked at: the other variants of its table.

Variants of one sweep table share a model, data and a budget: their optima drift alike, and where those of the
others lie on a line, its own will. Seen from the rest, a variant's slope is normal about the table's, mu,
with a sd tau that the rest shows (a hierarchy of table, variant and scale). The sizes of its departures from
the law are as likely as they are for another variant on average: however many there are, they count about as
one, since they were trained on the same data. Slopes are compared in muP coordinates where the coordinates
are known; there mu itself is near 0, which is what muP promises.

Only predictions use this. What is measured of a variant (drift, E, kappa, R) does not depend on what it was
compared with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.law.departure import departure
from hptransfer.quantify.law.least_squares import solve
from hptransfer.quantify.law.scatter import Scatters, scatters
from hptransfer.quantify.priors import DEPARTURE
from hptransfer.sweep.table import FloatArray

NODES = np.linspace(-2.0, 2.0, 7)  # sds of log tau from its median at which it is tried
LOG_NODE_WEIGHT = -0.5 * NODES**2
MIN_SCALES = 3  # fewer usable scales than this: no laws; a line through 2 has no error of its own


@dataclass(frozen=True)
class OwnLaw:
    """What a variant's own optima say of its law, nothing else known."""

    slope: float  # posterior mean, octaves per octave
    variance: float  # of the slope
    sizes: FloatArray  # log likelihood of every size of scatter and turning, [S]


@dataclass(frozen=True)
class TablePrior:
    """What the other variants say of one: a normal prior on its slope, that may not hold, and of sizes."""

    slope: float  # octaves per octave
    sd: float  # of the slope
    share: float  # prior probability that it holds; else nothing is known of the slope
    sizes: FloatArray | None = None  # added to the log prior of every size of scatter and turning, [S]


def departures_of(basins: Basins, by_others: FloatArray | None = None) -> Scatters:
    """Every size of departure that is thought of for one variant's optima inside the grid.

    `by_others` [S] is `TablePrior.sizes`.
    """
    inside = basins.fitted
    t, x_draws = np.log2(basins.cells.scale[inside]), basins.x_draws[:, inside]
    return scatters(t, x_draws, departure(basins), by_others)


def own_law(basins: Basins | None) -> OwnLaw | None:
    """By a variant's own optima; None where fewer than three are inside the grid."""
    if basins is None or basins.fitted.sum() < MIN_SCALES:
        return None
    every, x = departures_of(basins), basins.x[basins.fitted]
    basis = np.stack([np.ones_like(every.t), every.t - every.t.mean()], axis=1)
    line = solve(basis, x, every)
    log = every.log_prior + line.likelihood
    weight = np.exp(log - log.max()) / np.exp(log - log.max()).sum()
    slope = line.points[:, 1]
    mean = float(weight @ slope)
    variance = float(weight @ (line.errors[:, 1, 1] + (slope - mean) ** 2))
    return OwnLaw(mean, variance, line.likelihood[: every.regular])


def table_priors(own: Sequence[OwnLaw | None], to_mup: FloatArray | None) -> list[TablePrior | None]:
    """What is known of every variant by the others; None where nothing is.

    Args:
        own: of each variant, by itself (`own_law`); V of them.
        to_mup: what is added to each slope in muP coordinates, shape [V]; None where they are not known.
    """
    known = np.array([o is not None for o in own])
    shift = np.zeros(len(own)) if to_mup is None else to_mup
    centre, sd = _slopes(own, shift, to_mup is not None)
    total = np.sum([o.sizes for o in own if o is not None], axis=0) if known.any() else None
    out: list[TablePrior | None] = []
    for i, one in enumerate(own):
        others = int(known.sum()) - int(known[i])
        if not others and to_mup is None:
            out.append(None)
            continue
        rest = None if total is None else total - (0.0 if one is None else one.sizes)
        sizes = DEPARTURE.sizes_shared * rest / others if others and rest is not None else None
        out.append(TablePrior(float(centre[i] - shift[i]), float(sd[i]), DEPARTURE.slope_shared, sizes))
    return out


def _slopes(own: Sequence[OwnLaw | None], shift: FloatArray, in_mup: bool) -> tuple[FloatArray, FloatArray]:
    """Mean and sd of each slope by the others', in the coordinates that `shift` [V] leads to, [V] each."""
    known = np.array([o is not None for o in own])
    mean = np.array([o.slope if o else 0.0 for o in own]) + np.where(known, shift, 0.0)
    variance = np.array([o.variance if o else 1.0 for o in own])
    tau = DEPARTURE.slope_tau * np.exp(DEPARTURE.slope_tau_log_sd * NODES)[:, None]
    weight = np.where(known, 1.0 / (variance + tau**2), 0.0)  # [T, V]

    def rest(terms: FloatArray) -> FloatArray:
        return np.asarray(terms.sum(axis=1, keepdims=True) - terms)

    # The weight of mu = 0.
    total = rest(weight) + (DEPARTURE.slope_mup_sd**-2 if in_mup else 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):  # of those about whom nothing is known
        mu = rest(weight * mean) / total
        chi2 = rest(weight * mean**2) - mu**2 * total
        log_weight = np.where(known, np.log(np.where(known, weight, 1.0)), 0.0)
        log = LOG_NODE_WEIGHT[:, None] - 0.5 * (chi2 - rest(log_weight) + np.log(total))
        share = np.exp(log - log.max(axis=0))
        share /= share.sum(axis=0)
        centre = (share * mu).sum(axis=0)
        sd = np.sqrt((share * (1.0 / total + tau**2 + (mu - centre) ** 2)).sum(axis=0))
    return centre, sd
