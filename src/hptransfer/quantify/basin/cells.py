"""Cells: the runs of one variant, averaged over seeds and laid out as scale by hyperparameter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hptransfer.quantify.basin.seeds import SeedRuns, freedom_lost, no_tilts, seed_effects, seed_tilts
from hptransfer.sweep.table import BoolArray, FloatArray, IntArray, SweepTable

# Hyperparameters closer than this (octaves) are one cell: decimal and binary spellings of one value.
SAME_CELL = 1e-6


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
    # What a seed tilts the curve by near its lowest cell, variance beyond noise, nats^2 per octave^2, [K];
    # and
    # the seeds behind it less one, [K].
    tilt: FloatArray
    tilt_freedom: IntArray
    # Rows dropped because another row is identical in scale, hp, seed and finite loss; a run without a loss
    # cannot be told from another, and is none's duplicate.
    duplicates: int = 0
    # log2 eta where each optimum is expected but for a constant, [K]; None: on a line in log2 of the scale.
    expected: FloatArray | None = None

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
    effect = seed_effects(value, np.where(finite & ~censored[cell], cell, -1), k, rows[:, 2])
    value = value - effect
    mean = np.bincount(cell, weights=value * finite) / np.maximum(alive, 1)
    several = np.bincount(k_of, weights=(total > 1) & ~censored, minlength=len(scales)).astype(float)
    lost = freedom_lost(several, np.bincount(k, weights=effect != 0, minlength=len(scales)) > 0)
    spread = lost[k_of] * np.bincount(cell, weights=finite * (value - mean[cell]) ** 2)

    usable = np.where(censored, np.inf, mean)
    lowest = np.array([rows[new, 1][k_of == i][np.argmin(usable[k_of == i])] for i in range(len(scales))])
    of_seeds = SeedRuns(rows[:, 1], np.where(finite, value - mean[cell], np.nan), k, rows[:, 2])
    tilt, tilt_freedom = seed_tilts(of_seeds, lowest) if total.max() > 1 else no_tilts(len(scales))

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
        tilt=tilt,
        tilt_freedom=tilt_freedom,
        duplicates=len(scale) - len(rows),
    )


def _distinct(rows: FloatArray) -> FloatArray:
    """Rows (scale, x, seed, loss) sorted, [distinct, 4]; those without a loss are all distinct."""
    rows = rows[np.lexsort(rows.T[[3, 2, 1, 0]])]
    return np.asarray(rows[np.concatenate([[True], (rows[1:] != rows[:-1]).any(axis=1)])])
