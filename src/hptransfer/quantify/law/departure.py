"""How far an optimum's law may be trusted: what real projects did, by what can be seen of a series."""

from __future__ import annotations

import numpy as np

from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.law.scatter import Departure, SizePrior
from hptransfer.quantify.priors import DEPARTURE
from hptransfer.sweep.table import FloatArray

LEAST_SD, LEAST_APART = 0.01, 0.02  # octaves; keep logarithms of what vanishes finite
UNKNOWN_APART = 0.1  # octaves; of a series none of whose scales has an optimum of its own


def traits(basins: Basins) -> FloatArray:
    """What tells steady series from unsteady ones, [4]; see `priors.DeparturePriors`."""
    inside = basins.fitted
    sd = np.sqrt(np.mean(np.var(basins.x_draws[:, inside], axis=0)))
    apart = basins.apart[inside & np.isfinite(basins.apart)]
    found = (
        np.log(sd + LEAST_SD),
        -0.5 * np.log(np.mean(np.exp(basins.log_curvature[inside]))),
        np.log(basins.misfit),
        np.log((np.sqrt(np.mean(apart**2)) if len(apart) else UNKNOWN_APART) + LEAST_APART),
    )
    return np.asarray(np.array(found) - np.array(DEPARTURE.trait_centres))


def departure(basins: Basins) -> Departure:
    """The priors of one series, by its traits."""
    seen, p = traits(basins), DEPARTURE
    return Departure(
        scatter=_size(p.scatter, p.scatter_log_sd, p.scatter_none, _dot(p.scatter_by_trait, seen)),
        wander=_size(p.wander, p.wander_log_sd, p.wander_none, _dot(p.wander_by_trait, seen)),
        constant=p.constant,
        steady=1.0 / (1.0 + (1.0 / p.steady - 1.0) * float(np.exp(-_dot(p.steady_by_trait, seen)))),
    )


def _size(median: float, log_sd: float, none: float, shift: float) -> SizePrior:
    """The prior of a size whose median is `shift` in logarithm from the usual."""
    return SizePrior(median * float(np.exp(shift)), log_sd, none)


def _dot(effects: tuple[float, ...], seen: FloatArray) -> float:
    return float(np.array(effects) @ seen)
