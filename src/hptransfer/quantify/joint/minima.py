"""Whether the runs of a scale have two minima: two low places with higher runs all around each.

Points are joined to their neighbours (Delaunay's triangulation), and filled from the lowest up: a second
minimum is a low place of several points that is only joined to the first over a rise far above the noise.
"""

from __future__ import annotations

import numpy as np

from hptransfer.sweep.table import FloatArray, IntArray

LEAST_POINTS = 3  # of a minimum: one low run alone is a wild one
LEAST_RISE = 8.0  # between two minima, sd of the noise
LEAST_NATS = 0.01  # and at least this


def has_two_minima(x: FloatArray, loss: FloatArray, noise: float) -> bool:
    """Of the finished runs of one scale.

    Args:
        x: log2 of their hyperparameters, shape [n, d].
        loss: shape [n], nats.
        noise: sd of one run, nats.
    """
    if len(x) < 2 * (x.shape[1] + 1) or np.linalg.matrix_rank(x - x.mean(axis=0), tol=1e-3) < x.shape[1]:
        return False
    least = max(LEAST_RISE * noise, LEAST_NATS)
    joined = _neighbours(x)
    of: dict[int, int] = {}  # the lowest point of the basin that a point belongs to
    sizes: dict[int, int] = {}
    for i in map(int, np.argsort(loss, kind="stable")):
        met = sorted({_top(of, int(j)) for j in joined[i] if int(j) in of}, key=lambda j: loss[j])
        of[i] = met[0] if met else i
        for other in met[1:]:
            depth = loss[i] - loss[other]
            # It must be a place to go to: no higher above the lowest than the rise between them.
            near = loss[other] - loss[met[0]] < depth
            if depth > least and near and min(sizes[other], sizes[met[0]]) >= LEAST_POINTS:
                return True
            of[other] = met[0]
            sizes[met[0]] += sizes[other]
        sizes[of[i]] = sizes.get(of[i], 0) + 1
    return False


def _top(of: dict[int, int], i: int) -> int:
    while of[i] != i:
        i = of[i]
    return i


def _neighbours(x: FloatArray) -> list[IntArray]:
    """Of every point, those that it shares a triangle with."""
    from scipy.spatial import Delaunay  # here, so that importing the package stays quick

    starts, ends = Delaunay(x, qhull_options="QJ Pp").vertex_neighbor_vertices
    return [np.asarray(ends[starts[i] : starts[i + 1]]) for i in range(len(x))]
