"""What the seeds of one scale have in common: a whole loss-LR curve raised or lowered, or tilted.

Runs of one seed see the same initial weights and batches at every learning rate. What that does to all of
them is no noise from cell to cell: it does not make a curve ragged, and with one seed it cannot be seen at
all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hptransfer.quantify.priors import SEEDS
from hptransfer.sweep.table import BoolArray, FloatArray, IntArray

LEAST_SEED_CELLS = 3  # of a seed at a scale, from which its effect is told from noise
TILT_REACH = 1.1  # octaves either side of the lowest cell in which a tilt moves the optimum


@dataclass(frozen=True)
class SeedRuns:
    """Runs of one variant, [runs] each."""

    x: FloatArray  # log2 eta
    deviation: (
        FloatArray  # of the loss from its cell's mean, the seed's own effect taken off, nats; NaN: diverged
    )
    scale: IntArray  # index of the run's scale
    seed: FloatArray  # label


def no_tilts(scales: int) -> tuple[FloatArray, IntArray]:
    """Of scales with one seed: nothing is seen, with no freedom."""
    return np.zeros(scales), np.zeros(scales, dtype=np.int64)


def seed_tilts(runs: SeedRuns, lowest: FloatArray) -> tuple[FloatArray, IntArray]:
    """Variance of the slope that seeds give the curve near its lowest cell, and its freedom, [K] each.

    Of each seed with enough cells the slope of its deviations in log2 eta; what residuals about these slopes
    say of noise is taken off. Zero with no freedom where a scale has one seed.
    """
    near = (np.abs(runs.x - lowest[runs.scale]) <= TILT_REACH) & np.isfinite(runs.deviation)
    scale, x, d = runs.scale[near], runs.x[near], runs.deviation[near]
    pair, group = np.unique(np.stack([scale, runs.seed[near]]), axis=1, return_inverse=True)
    group = group.ravel()  # of each run: its seed at its scale
    count = np.maximum(np.bincount(group), 1)
    u = x - (np.bincount(group, weights=x) / count)[group]
    e = d - (np.bincount(group, weights=d) / count)[group]
    sxx, sxy, syy = (np.bincount(group, weights=w) for w in (u * u, u * e, e * e))
    enough = (count >= LEAST_SEED_CELLS) & (sxx > 0)
    slope = np.where(enough, sxy, 0.0) / np.where(enough, sxx, 1.0)
    noise = np.where(enough, (syy - slope * sxy) / np.maximum(count - 2, 1) / np.where(enough, sxx, 1.0), 0.0)
    at, size = pair[0].astype(np.int64), len(lowest)
    seeds, squares, noises = (np.bincount(at, weights=w, minlength=size) for w in (enough, slope**2, noise))
    freedom = np.maximum(seeds.astype(np.int64) - 1, 0)
    tilt = squares / np.maximum(freedom, 1) - noises / np.maximum(seeds, 1)
    return np.where(freedom > 0, np.maximum(tilt, 0.0), 0.0), freedom


def seed_effects(value: FloatArray, cell: IntArray, scale: IntArray, seed: FloatArray) -> FloatArray:
    """What each run's loss owes to its seed: the same at every hyperparameter of a scale, shape [runs].

    A seed's weights and batches raise or lower a whole loss-LR curve. That is no noise of the optimum's
    place: what counts for it is how runs of one seed differ. The effect is the median over the seed's cells,
    since single runs far right of the optimum go their own way; with fewer than three cells it is not told
    from noise. It is learned from cells with several runs, and is that of all runs of the seed.

    Args:
        value: loss of each run.
        cell: of each run; -1 where it is not to tell anything.
        scale: index of each run's scale.
        seed: label of each run's seed.
    """
    effect = np.zeros(len(value))
    several = np.bincount(cell[cell >= 0], minlength=1)
    counts = (cell >= 0) & (several[cell] > 1)
    if not counts.any():
        return effect
    rows = np.flatnonzero(counts)
    names, name = np.unique(seed, return_inverse=True)
    of_seed = scale * len(names) + name
    _, group = np.unique(of_seed[rows], return_inverse=True)
    for _ in range(2):  # the second for cells that lack a seed
        left = value[rows] - effect[rows]
        mean = np.bincount(cell[rows], weights=left, minlength=len(several)) / np.maximum(several, 1)
        effect[rows] += _group_medians(left - mean[cell[rows]], group)
    at = scale[rows]
    centre = np.bincount(at, weights=effect[rows]) / np.maximum(np.bincount(at), 1)
    known = np.zeros(of_seed.max() + 1)
    known[of_seed[rows]] = effect[rows] - centre[at]
    return np.asarray(known[of_seed])  # a seed's runs that are alone in their cells too


def freedom_lost(cells: FloatArray, taken: BoolArray) -> FloatArray:
    """Factor [K] on sums of squares where seeds' effects were taken off, by the cells that told them."""
    return np.where(taken & (cells > 1), cells / np.maximum(cells - 1, 1), 1.0)


def _group_medians(values: FloatArray, group: IntArray) -> FloatArray:
    """The median of each value's group, [rows]; 0 in groups of fewer than three."""
    order = np.lexsort((values, group))
    size = np.bincount(group)
    first = np.cumsum(size) - size
    low, high = order[first + (size - 1) // 2], order[first + size // 2]
    median = np.where(size >= LEAST_SEED_CELLS, 0.5 * (values[low] + values[high]), 0.0)
    return np.asarray(median[group])


def optimum_sd(tilt: FloatArray, freedom: IntArray, curvature: FloatArray, seeds: FloatArray) -> FloatArray:
    """Sd by which the seeds at hand may have moved each scale's optimum, octaves, [K].

    What seeds of the variant did to its optima, tilt over curvature, beside what is usual: with one seed a
    scale only the latter is known. Optima of flat basins are moved further.

    Args:
        tilt: variance of the seeds' slopes, nats^2 per octave^2, shape [K].
        freedom: seeds behind it less one, shape [K].
        curvature: d2L/dx2 at the optimum, nats per octave^2, shape [K].
        seeds: runs of a cell, shape [K].
    """
    usual = SEEDS.optimum_sd * (SEEDS.curvature / curvature) ** SEEDS.by_curvature
    seen: BoolArray = freedom > 0
    moved = np.minimum(np.sqrt(tilt[seen]) / curvature[seen] / usual[seen], SEEDS.most)
    ratio = (SEEDS.freedom + freedom[seen] @ moved**2) / (SEEDS.freedom + freedom[seen].sum())
    return np.asarray(usual * np.sqrt(ratio / np.maximum(seeds, 1)))
