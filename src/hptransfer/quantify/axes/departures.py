"""How optima lie off a plane over several axes: scatter of single points, and a turning along every axis.

Every point by itself lies off by a `scatter`, and the law turns along each axis: a random walk (Brownian
motion) of `wander` octaves per root of an octave along that axis, added up over the axes. A prediction beyond
the runs is less certain by the walk on from the nearest of them, in each direction. With one axis that is
what `law.scatter` has. The level is free, so the place where a walk starts does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from hptransfer.quantify.law.scatter import LOG_NODE_WEIGHT, NO_WANDER, NODES, SizePrior
from hptransfer.sweep.table import FloatArray

MOST_SETTINGS = 520  # combinations of sizes that are tried for a few points
MOST_WORK = 1e8  # settings times points cubed: many points get fewer settings


@dataclass(frozen=True)
class Sizes:
    """Every combination of sizes that is tried; S of them, F axes."""

    scatter: FloatArray  # sd of a single point, octaves, [S]
    wander: FloatArray  # sd of the turning along each axis, octaves per root of an octave, [S, F]
    log_prior: FloatArray  # [S]


def sizes(scatter: SizePrior, wander: SizePrior, axes: int, points: int, steady: float) -> Sizes:
    """The combinations: the same prior along every axis, `steady` the probability of none at all.

    The fewer nodes, the more axes and points there are.
    """
    grids = [scatter, *[wander] * (0 if wander is NO_WANDER else axes)]
    most = min(MOST_SETTINGS, max(MOST_WORK / points**3, 2 ** len(grids)))
    nodes = min(int(most ** (1 / len(grids)) + 1e-9) - 1, len(NODES))
    tried = [_grid(prior, nodes) for prior in grids]
    size = np.array(list(product(*(values for values, _ in tried))))
    log_prior = np.array([sum(each) for each in product(*(logs for _, logs in tried))])
    log_prior += np.log1p(-steady)
    if steady > 0:
        log_prior[0] = np.logaddexp(log_prior[0], np.log(steady))
    turning = size[:, 1:] if size.shape[1] > 1 else np.zeros((len(size), axes))
    return Sizes(size[:, 0], turning, log_prior)


def _grid(prior: SizePrior, nodes: int) -> tuple[FloatArray, FloatArray]:
    """Sizes, zero first, and log prior weights of a prior on so many nodes."""
    if nodes >= len(NODES) or prior.none >= 1:
        return prior.grid()
    at = np.linspace(NODES[0], NODES[-1], 2 * nodes + 1)[1::2]  # middles of equal parts of the range
    log = np.interp(at, NODES, LOG_NODE_WEIGHT)
    log -= np.logaddexp.reduce(log)
    values = prior.median * np.exp(prior.log_sd * np.concatenate([[-np.inf], at]))
    return values, np.concatenate([[np.log(prior.none)], np.log1p(-prior.none) + log])


def walk_covariances(z: FloatArray, others: FloatArray | None = None) -> FloatArray:
    """Covariance of unit walks between places z [K, F] and others [M, F] (by default z), [F, M, K]."""
    places = z if others is None else others
    start = np.minimum(z.min(axis=0), places.min(axis=0))
    return np.stack(
        [np.minimum((places[:, i] - start[i])[:, None], z[:, i] - start[i]) for i in range(z.shape[1])]
    )


def covariance(errors: FloatArray, walks: FloatArray, scatter: FloatArray, wander: FloatArray) -> FloatArray:
    """Of estimates with `errors` [K, K] about the plane under each setting [S], by `walks` [F, K, K]."""
    single = scatter[:, None, None] ** 2 * np.eye(len(errors))
    return np.asarray(errors + single + np.einsum("sf,fkl->skl", wander**2, walks))


def draw_walks(z: FloatArray, wander: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Draws of the turning at places z [P, F], by `wander` [B, F] of each draw, [B, P], octaves."""
    out = np.zeros((len(wander), len(z)))
    for i in range(z.shape[1]):
        at, back = np.unique(z[:, i], return_inverse=True)
        steps = rng.standard_normal((len(wander), len(at))) * np.sqrt(np.diff(at, prepend=at[0]))
        out += wander[:, i : i + 1] * np.cumsum(steps, axis=1)[:, back.ravel()]
    return out


def farthest(z: FloatArray, places: FloatArray) -> FloatArray:
    """Octaves by which places [M, F] lie beyond the range of the points z [K, F], along each axis, [M, F]."""
    beyond = np.maximum(z.min(axis=0) - places, places - z.max(axis=0))
    return np.asarray(np.maximum(beyond, 0.0))
