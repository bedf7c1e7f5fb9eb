"""Ways to say how well all widths follow one set of laws: what E may be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.basin.shape import excess
from hptransfer.quantify.exponents import LN2
from hptransfer.quantify.fit_error import _refitted
from hptransfer.quantify.law.laws import Laws
from hptransfer.quantify.law.loss_law import fit_loss
from hptransfer.sweep.table import FloatArray
from papers.data import Fitted

Filter = Callable[[float], float]  # the highest loss that counts, from the best of a width, nats


def times(factor: float) -> Filter:
    """Up to a factor on the best loss of the width."""
    return lambda best: factor * best


def within(nats: float) -> Filter:
    """Up to so many nats above the best loss of the width."""
    return lambda best: best + nats


@dataclass(frozen=True)
class Counted:
    """The cells that pass a filter, [cells], and where the laws put them."""

    scale: FloatArray  # width
    x: FloatArray  # log2 learning rate
    loss: FloatArray  # nats
    u: FloatArray  # octaves from the law's optimum
    rise: FloatArray  # loss above the law's, nats
    log_curvature: FloatArray  # on its law


def counted(basins: Basins, laws: Laws, most: Filter) -> Counted:
    """The cells of the widths with an optimum whose loss passes the filter."""
    cells = basins.cells
    highest = np.full(len(basins.fitted), -np.inf)
    for row in np.flatnonzero(basins.fitted):
        highest[row] = most(float(np.nanmin(cells.loss[row])))
    k, i = np.nonzero(cells.usable & (np.nan_to_num(cells.loss, nan=np.inf) <= highest[:, None]))
    scale, x, loss = cells.scale[k], cells.x[k, i], cells.loss[k, i]
    return Counted(
        scale, x, loss, x - laws.hp.at(scale), loss - laws.loss.at(scale), laws.log_curvature.at(scale)
    )


def free_shape(basins: Basins, laws: Laws, most: Filter) -> FloatArray:
    """Residuals of the joint surface with its shape fitted to these cells: today's E."""
    c = counted(basins, laws, most)
    return _refitted(c.u, c.rise, c.log_curvature, basins)


def fixed_shape(basins: Basins, laws: Laws, most: Filter) -> FloatArray:
    """The same with the shape that was fitted near the optima."""
    c = counted(basins, laws, most)
    return np.asarray(c.rise - excess(c.u, c.log_curvature, basins.shape))


def relative(basins: Basins, laws: Laws, most: Filter) -> FloatArray:
    """Residuals at free shape as a share of the loss."""
    return free_shape(basins, laws, most) / counted(basins, laws, most).loss


def parabola(basins: Basins, laws: Laws, most: Filter) -> FloatArray:
    """Residuals of parabolas in log2 LR, the seven numbers of their laws fitted to these cells at once."""
    c = counted(basins, laws, most)
    t = np.log2(c.scale / basins.cells.scale[0])
    hp, curvature = laws.families["power"], laws.log_curvature
    first = basins.cells.scale[0]
    l_inf, gain, alpha = laws.loss.parameters
    start = [l_inf, gain, alpha, float(hp.at(first)), float(hp.parameters[1])]
    start += [float(curvature.at(first)), float(curvature.parameters[1])]

    def residuals(p: FloatArray) -> FloatArray:
        best = p[0] + p[1] * np.exp2(-p[2] * t)
        return np.asarray(c.loss - best - 0.5 * np.exp(p[5] + p[6] * t) * (c.x - p[3] - p[4] * t) ** 2)

    return np.asarray(least_squares(residuals, start, max_nfev=200).fun)


def raw_parabola(basins: Basins, laws: Laws, most: Filter) -> FloatArray:
    """Residuals of parabolas in the learning rate, L* + H/2 (eta - eta*)^2, on the instrument's laws."""
    c = counted(basins, laws, most)
    off = (np.exp2(c.u) - 1.0) / LN2  # (eta - eta*) / (eta* ln 2)
    return np.asarray(c.rise - 0.5 * np.exp(c.log_curvature) * off**2)


def optima(basins: Basins, laws: Laws, _: Filter) -> FloatArray:
    """Octaves from each width's interpolated optimum to the optimum's law."""
    inside = basins.fitted
    return np.asarray(basins.x[inside] - laws.hp.at(basins.cells.scale[inside]))


def losses(basins: Basins, laws: Laws, _: Filter) -> FloatArray:
    """Nats from each width's loss at the optimum to the loss law."""
    inside = basins.fitted
    return np.asarray(basins.loss[inside] - laws.loss.at(basins.cells.scale[inside]))


def held_out_loss(basins: Basins, _: Laws, __: Filter) -> FloatArray:
    """Nats from the loss at the largest width's optimum to the law of the others."""
    scale, loss = basins.cells.scale[basins.fitted], basins.loss[basins.fitted]
    law = fit_loss(scale[:-1], loss[:-1], basins.loss_draws[:, basins.fitted][:, :-1])
    return np.array([loss[-1] - float(law.at(scale[-1]))])


Residuals = Callable[[Basins, Laws, Filter], FloatArray]
CANDIDATES: Mapping[str, tuple[Residuals, Filter]] = {
    "surface, free shape, up to 1.35 x best": (free_shape, times(1.35)),
    "surface, free shape, up to 1.1 x best": (free_shape, times(1.1)),
    "surface, free shape, up to 1.05 x best": (free_shape, times(1.05)),
    "surface, free shape, up to best + 1.35 nats": (free_shape, within(1.35)),
    "surface, fixed shape, up to 1.35 x best": (fixed_shape, times(1.35)),
    "surface, fixed shape, up to 1.1 x best": (fixed_shape, times(1.1)),
    "relative residuals, up to 1.35 x best": (relative, times(1.35)),
    "joint parabolas in log LR, up to 1.35 x best": (parabola, times(1.35)),
    "joint parabolas in log LR, up to 1.1 x best": (parabola, times(1.1)),
    "parabolas in LR, up to 1.1 x best": (raw_parabola, times(1.1)),
    "optima about their law (E_hp squared)": (optima, times(1.35)),
    "losses at the optima about their law": (losses, times(1.35)),
    "loss predicted at the largest width": (held_out_loss, times(1.35)),
}


def log10_error(fitted: Fitted, variant: str, candidate: str) -> float:
    """log10 of the mean squared residual of a variant; NaN where it has no laws."""
    basins, laws = fitted.basins[variant], fitted.laws.get(variant)
    if laws is None:
        return float("nan")
    of, most = CANDIDATES[candidate]
    return float(np.log10(np.mean(of(basins, laws, most) ** 2)))


def share_up_the_cliff(fitted: Fitted, variant: str, inner: float = 1.1, outer: float = 1.35) -> float:
    """Share of today's E that comes from cells whose loss is between `inner` and `outer` times the best."""
    basins, laws = fitted.basins[variant], fitted.laws[variant]
    square = free_shape(basins, laws, times(outer)) ** 2
    c = counted(basins, laws, times(outer))
    best = dict(zip(basins.cells.scale, np.nanmin(basins.cells.loss, axis=1), strict=True))
    beyond = c.loss > inner * np.array([best[n] for n in c.scale])
    return float(square[beyond].sum() / square.sum())
