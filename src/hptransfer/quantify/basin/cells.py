"""Cells: the runs of one variant, averaged over seeds and laid out as scale by hyperparameter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hptransfer.sweep.table import BoolArray, FloatArray, IntArray, SweepTable

# Hyperparameters closer than this (octaves) are one cell: decimal and binary spellings of one value.
SAME_CELL = 1e-6
LEAST_SEED_CELLS = 3  # of a seed at a scale, from which its effect is told from noise


@dataclass(frozen=True)
class Cells:
    """The runs of one variant on a padded grid; K scales, at most N hyperparameter values a scale."""

    variant: str  # its name
    scale: FloatArray  # n, ascending, [K]
    x: FloatArray  # log2 eta, ascending within a scale, NaN where padded, [K, N]
    loss: FloatArray  # mean over seeds, nats; NaN where padded or censored, [K, N]
    count: IntArray  # runs behind each mean, [K, N]
    spread: FloatArray  # sum over the runs of a cell of (loss - mean)**2, [K, N]
    censored: BoolArray  # True where a run of the cell diverged, [K, N]
    runs: IntArray  # rows of the sweep table at each scale, diverged and identical ones included, [K]
    diverged: IntArray  # those of them that diverged, [K]
    # Rows dropped because another row is identical in scale, hp, seed and finite loss; a run without a loss
    # cannot be told from another, and is none's duplicate.
    duplicates: int = 0

    @property
    def usable(self) -> BoolArray:
        """True where a cell has a loss to fit, shape [K, N]."""
        return np.isfinite(self.loss)


def cells_of(sweep: SweepTable) -> Iterator[Cells]:
    """Splits a sweep table by variant, in order of first appearance."""
    loss = np.where(sweep.diverged, np.nan, sweep.loss)
    x = np.log2(sweep.hp)
    names, first, inverse = np.unique(sweep.variant, return_index=True, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    ends = np.cumsum(np.bincount(inverse, minlength=len(names)))
    for i in np.argsort(first):
        rows = order[ends[i - 1] if i else 0 : ends[i]]
        yield _cells(str(names[i]), sweep.scale[rows], x[rows], loss[rows], sweep.seed[rows])


def _cells(name: str, scale: FloatArray, x: FloatArray, loss: FloatArray, seed: Any) -> Cells:
    """The cells of one variant from its runs, arrays [runs]; a loss of NaN is of a diverged run."""
    _, label = np.unique(seed, return_inverse=True)
    scales, runs = np.unique(scale, return_counts=True)
    diverged = np.bincount(np.searchsorted(scales, scale), weights=np.isnan(loss), minlength=len(scales))
    rows = _distinct(np.stack([scale, x, label.astype(float), loss], axis=1))
    k = np.searchsorted(scales, rows[:, 0])
    new = np.ones(len(rows), dtype=bool)  # the first row of a cell
    new[1:] = (k[1:] != k[:-1]) | (np.diff(rows[:, 1]) > SAME_CELL)
    cell = np.cumsum(new) - 1
    k_of = k[new]
    slot = np.arange(len(k_of)) - np.searchsorted(k_of, np.arange(len(scales)))[k_of]
    shape = (len(scales), int(slot.max()) + 1)
    finite = np.isfinite(rows[:, 3])
    value = np.where(finite, rows[:, 3], 0.0)
    total = np.bincount(cell)
    alive = np.bincount(cell, weights=finite)
    censored = alive < total
    value = value - seed_effects(value, np.where(finite & ~censored[cell], cell, -1), k, rows[:, 2])
    mean = np.bincount(cell, weights=value * finite) / np.maximum(alive, 1)
    spread = np.bincount(cell, weights=finite * (value - mean[cell]) ** 2)

    def grid(values: Any, fill: Any) -> Any:
        out = np.full(shape, fill)
        out[k_of, slot] = values
        return out

    return Cells(
        variant=name,
        scale=scales,
        x=grid(rows[new, 1], np.nan),
        loss=grid(np.where(censored, np.nan, mean), np.nan),
        count=grid(np.where(censored, 0, total), 0),
        spread=grid(np.where(censored, 0.0, spread), 0.0),
        censored=grid(censored, False),
        runs=runs,
        diverged=diverged.astype(np.int64),
        duplicates=len(scale) - len(rows),
    )


def _distinct(rows: FloatArray) -> FloatArray:
    """Rows (scale, x, seed, loss) sorted, [distinct, 4]; those without a loss are all distinct."""
    rows = rows[np.lexsort(rows.T[[3, 2, 1, 0]])]
    return np.asarray(rows[np.concatenate([[True], (rows[1:] != rows[:-1]).any(axis=1)])])


def seed_effects(value: FloatArray, cell: IntArray, scale: IntArray, seed: FloatArray) -> FloatArray:
    """What each run's loss owes to its seed: the same at every hyperparameter of a scale, shape [runs].

    A seed's weights and batches raise or lower a whole loss-LR curve. That is no noise of the optimum's place: what
    counts for it is how runs of one seed differ. The effect is the median over the seed's cells, since single
    runs far right of the optimum go their own way; with fewer than three cells it is not told from noise.

    Args:
        value: loss of each run.
        cell: of each run; -1 where it is not to count.
        scale: index of each run's scale.
        seed: label of each run's seed.
    """
    effect = np.zeros(len(value))
    several = np.bincount(cell[cell >= 0], minlength=1)
    counts = (cell >= 0) & (several[cell] > 1)
    if not counts.any():
        return effect
    rows = np.flatnonzero(counts)
    _, group = np.unique(np.stack([scale[rows], seed[rows]]), axis=1, return_inverse=True)
    group = group.ravel()
    for _ in range(2):  # the second for cells that lack a seed
        left = value[rows] - effect[rows]
        mean = np.bincount(cell[rows], weights=left, minlength=len(several)) / np.maximum(several, 1)
        effect[rows] += _group_medians(left - mean[cell[rows]], group)
    at = scale[rows]
    centre = np.bincount(at, weights=effect[rows]) / np.maximum(np.bincount(at), 1)
    effect[rows] -= centre[at]
    return effect


def _group_medians(values: FloatArray, group: IntArray) -> FloatArray:
    """The median of each value's group, [rows]; 0 in groups of fewer than three."""
    order = np.lexsort((values, group))
    size = np.bincount(group)
    first = np.cumsum(size) - size
    low, high = order[first + (size - 1) // 2], order[first + size // 2]
    median = np.where(size >= LEAST_SEED_CELLS, 0.5 * (values[low] + values[high]), 0.0)
    return np.asarray(median[group])
