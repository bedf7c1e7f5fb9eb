"""Partial pooling: each scale's optimum drawn towards the law, as far as the scatter between scales allows.

A scale with few or noisy runs says little about its own optimum; the other scales say where the law puts it,
and how far scales lie from the law. The posterior of the optima under the power law with random scatter
(a random effect, its size averaged over) weighs the two. Laws, E_hp, the bend test and hold-outs use the
optima before pooling: they ask whether the law holds.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.basin.seeds import optimum_sd
from hptransfer.quantify.law.laws import HpLaws
from hptransfer.quantify.law.optimum_law import LineFit
from hptransfer.quantify.law.scatter import departure_covariance, departures
from hptransfer.quantify.predict import optimum_draws
from hptransfer.quantify.priors import LAW, SEEDS
from hptransfer.sweep.table import FloatArray


def pooled(basins: Basins, laws: HpLaws | None, rng: np.random.Generator) -> Basins:
    """The basins with optima pooled, and all that goes with a shift of an optimum shifted along.

    Without laws optima stay where they are; what the seeds at hand may have moved them by is added always.
    """
    inside = basins.fitted
    if not inside.any():
        return basins
    t = np.log2(basins.cells.scale[inside])
    cov, before = basins.cov_given_shape[inside], basins.x_draws[:, inside].astype(np.float64)
    by_seeds = _seed_sd(basins)
    if laws is not None:  # seeds cannot have moved optima by much more than these scatter
        by_seeds = np.minimum(by_seeds, SEEDS.most_scatter * laws.families["power"].scatter_draws[:, None])
    noisy = before + by_seeds * rng.standard_normal(before.shape)
    point, draws = basins.x[inside], noisy
    if laws is not None:
        variance = cov[:, 1, 1] + np.mean(by_seeds**2, axis=0)
        point, draws = _towards(laws.families["power"], t, point, noisy, variance, rng)
    low, high = basins.low[inside], basins.high[inside]
    point, draws = np.clip(point, low, high), np.clip(draws, low, high)
    shift, shifts = point - basins.x[inside], draws - before
    # What a scale's own error does to its loss and curvature when its optimum is moved.
    loss_slope, curvature_slope = cov[:, 0, 1] / cov[:, 1, 1], cov[:, 2, 1] / cov[:, 1, 1]

    def moved(old: FloatArray, by: FloatArray) -> FloatArray:
        out = np.array(old, dtype=np.float64)
        out[..., inside] += by
        return out

    return replace(
        basins,
        x=moved(basins.x, shift),
        x_draws=moved(basins.x_draws, shifts),
        loss=moved(basins.loss, loss_slope * shift),
        loss_draws=moved(basins.loss_draws, loss_slope * shifts),
        log_curvature=moved(basins.log_curvature, curvature_slope * shift),
        log_curvature_draws=moved(basins.log_curvature_draws, curvature_slope * shifts),
        by_law=_edges(basins, laws, rng) if laws else basins.by_law,
    )


def _seed_sd(basins: Basins) -> FloatArray:
    """Sd by which the seeds at hand may have moved the optimum of each fitted scale, octaves."""
    inside, cells = basins.fitted, basins.cells
    curvature = np.exp(basins.log_curvature[inside])
    return optimum_sd(
        cells.tilt[inside], cells.tilt_freedom[inside], curvature, cells.count[inside].max(axis=1)
    )


def _edges(basins: Basins, laws: HpLaws, rng: np.random.Generator) -> FloatArray:
    """Median of what the law says of each scale with its lowest cell at an edge, within its bounds, [K]."""
    out = np.full(len(basins.edge), np.nan)
    for k in np.flatnonzero((basins.edge != 0) & ~basins.fitted):
        draws = optimum_draws(laws, float(basins.cells.scale[k]), rng)
        inside = draws[(basins.low[k] < draws) & (draws < basins.high[k])]
        if len(inside) > LAW.edge_least_inside * len(draws):
            out[k] = np.median(inside)
    return out


def _towards(
    law: LineFit,
    t: FloatArray,
    x: FloatArray,
    draws: FloatArray,
    variance: FloatArray,
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray]:
    """Posterior mean [K] and draws [B, K] of the optima x [K] under a line with scatter.

    A draw solves the least-squares problem with both its data and its prior perturbed, which samples a
    normal posterior exactly and keeps draw b of one variant with draw b of another. `variance` [K] is of each
    scale's own optimum given the shape, `t` its log2 scale.
    """
    basis = np.stack([np.ones_like(t), t - t.mean()], axis=1)
    size = np.maximum(law.scatter_draws, LAW.least_pooling_scatter)
    every = np.stack([size, law.wander_draws, law.off.astype(np.float64)], axis=1)
    settings, which, count = np.unique(every, axis=0, return_inverse=True, return_counts=True)
    prior = _off_line(basis, departure_covariance(t, settings[:, 0], settings[:, 1], settings[:, 2]))
    solve = np.linalg.inv(np.diag(1 / variance) + prior)  # posterior covariance, [S, K, K]
    gain = solve / variance  # solve @ diag(1 / own), [S, K, K]
    noise = departures(size, law.wander_draws, law.off, np.diff(t), rng)
    which = which.ravel()
    out = np.einsum("bkl,bl->bk", gain[which], draws) + np.einsum("bkl,bl->bk", (solve @ prior)[which], noise)
    return np.asarray(count @ (gain @ x)) / len(draws), out


def _off_line(basis: FloatArray, covariance: FloatArray) -> FloatArray:
    """Precision [S, K, K] of optima that lie off a line, unknown itself, by `covariance` [S, K, K]."""
    weight = np.linalg.inv(covariance)
    weighted = weight @ basis
    onto = weighted @ np.linalg.inv(basis.T @ weighted) @ np.swapaxes(weighted, -1, -2)
    return np.asarray(weight - onto)
