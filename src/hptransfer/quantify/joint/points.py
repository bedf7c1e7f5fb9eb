"""Points: the runs of one variant at their hyperparameters, averaged over repeats; which of them count."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hptransfer.errors import QuantifyError
from hptransfer.quantify.basin.cells import SAME_CELL
from hptransfer.quantify.basin.seeds import freedom_lost, seed_effects
from hptransfer.quantify.joint.priors import JOINT
from hptransfer.sweep.table import BoolArray, FloatArray, IntArray, StrArray, SweepTable
from hptransfer.words import precise

MIN_VALUES = 3  # of a hyperparameter: two make no curvature
THIRD = 2  # lowest run of a scale, from which the rise of others is counted


@dataclass(frozen=True)
class Axes:
    """The hyperparameters of a table: their names, and the place of a value of zero."""

    names: tuple[str, ...]
    least: FloatArray  # log2 of the smallest positive value of each, [d]
    zero: BoolArray  # whether a run has it at zero, [d]

    def place(self, values: FloatArray) -> FloatArray:
        """Places x of values [..., d]: log2, and zero two octaves left of the smallest positive value."""
        out = np.log2(np.where(values > 0, values, 1.0))
        return np.where(values > 0, out, self.least - JOINT.zero_octaves)

    def value(self, j: int, x: FloatArray) -> FloatArray:
        """Values of hyperparameter j at x; zero where x is nearer to its place than to the smallest."""
        return np.where(self.near_zero(j, x), 0.0, np.exp2(x))

    def near_zero(self, j: int, x: FloatArray) -> BoolArray:
        """Whether x is nearer to the place of zero than to the smallest positive value that was run."""
        return np.asarray(self.zero[j] & (x < self.least[j] - 0.5 * JOINT.zero_octaves))


@dataclass(frozen=True)
class Points:
    """The runs of one variant; K scales, N points a scale, padded with a count of 0."""

    variant: str
    axes: Axes
    scale: FloatArray  # ascending, [K]
    x: FloatArray  # log2 of the hyperparameters, [K, N, d]; 0 where padded
    loss: FloatArray  # mean over repeats, nats; NaN where a run of the point diverged or padded, [K, N]
    count: IntArray  # runs behind each mean; 0 where padded or diverged, [K, N]
    spread: FloatArray  # sum of squares within a point, [K, N]
    at_zero: BoolArray  # which coordinates are a zero, [K, N, d]
    real: BoolArray  # False where padded, [K, N]
    runs: IntArray  # rows of the table at each scale, [K]
    diverged: IntArray  # those that diverged, [K]
    several: FloatArray | None = None  # log2 of the axes where the scale has several, [K, F]

    @property
    def place(self) -> FloatArray:
        """log2 of the scale's axes, [K, F]."""
        return np.log2(self.scale)[:, None] if self.several is None else self.several

    @property
    def usable(self) -> BoolArray:
        """Points with a loss, [K, N]."""
        return np.isfinite(self.loss)

    def take(self, rows: IntArray) -> Points:
        """Some of the scales."""
        names = ["scale", "x", "loss", "count", "spread", "at_zero", "real", "runs", "diverged"]
        names += [] if self.several is None else ["several"]
        return replace(self, **{name: getattr(self, name)[rows] for name in names})


def hyperparameters(sweep: SweepTable, names: tuple[str, ...]) -> FloatArray:
    """The columns of several hyperparameters, [runs, d].

    Raises:
        QuantifyError: a column is unknown, constant, negative or lacks a number.
    """
    if not 2 <= len(names) <= 3:
        raise QuantifyError(f"two or three hyperparameters can be fitted at once, but got {len(names)}")
    if len(set(names)) < len(names):
        raise QuantifyError(f"hyperparameters must be different columns, but got {', '.join(names)}")
    columns = {sweep.columns.hp: sweep.hp, **sweep.extra}
    for name in names:
        if name not in columns:
            raise QuantifyError(
                f"a hyperparameter must be a column of numbers, but got {name!r}; valid: {', '.join(columns)}"
            )
        _check_column(name, columns[name])
    return np.stack([columns[name] for name in names], axis=1)


def _check_column(name: str, values: FloatArray) -> None:
    missing = np.flatnonzero(~np.isfinite(values))
    if missing.size:
        raise QuantifyError(
            f"{name} must be a number in every run, but {missing.size} of {len(values)} runs have none, "
            f"the first of them row {missing[0]}; leave them out with --where"
        )
    negative = np.flatnonzero(values < 0)
    if negative.size:
        row = negative[0]
        raise QuantifyError(
            f"{name} must be positive or zero, but row {row} has {name}={precise(values[row])}"
        )
    found = np.unique(values)
    if len(found) < MIN_VALUES:
        raise QuantifyError(
            f"{name} must take at least {MIN_VALUES} values for its optimum to be found, but these runs have "
            f"{', '.join(precise(v) for v in found)}; fit the others without it"
        )


def axes_of(names: tuple[str, ...], values: FloatArray) -> Axes:
    """The axes of hyperparameters [runs, d]."""
    least = np.array([np.log2(column[column > 0].min()) for column in values.T])
    return Axes(names, least, (values == 0).any(axis=0))


def zero_places(axes: Axes) -> dict[str, float]:
    """By hyperparameter that has runs at zero, the value whose place they take."""
    at = axes.place(np.zeros(len(axes.names)))
    return {name: float(np.exp2(at[j])) for j, name in enumerate(axes.names) if axes.zero[j]}


def points_of(sweep: SweepTable, variant: str, values: FloatArray, axes: Axes) -> Points:
    """The points of one variant.

    Args:
        sweep: all runs.
        variant: its name.
        values: of the hyperparameters, shape [runs, d].
        axes: of the hyperparameters.
    """
    rows = np.flatnonzero(sweep.variant == variant)
    scale, loss = sweep.scale[rows], np.where(sweep.diverged[rows], np.nan, sweep.loss[rows])
    x, zero = axes.place(values[rows]), values[rows] == 0
    keys = np.column_stack([scale, np.round(x / SAME_CELL)])
    _, first, cell = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    cell = cell.ravel()
    scales, k = np.unique(scale, return_inverse=True)
    k_of = k[first]  # of each point; ascending, since points are sorted by scale first
    slot = np.arange(len(k_of)) - np.searchsorted(k_of, np.arange(len(scales)))[k_of]
    total, alive = np.bincount(cell), np.bincount(cell, weights=np.isfinite(loss))
    dead = alive < total
    mean, spread = _means(loss, cell, k, k_of, dead, sweep.seed[rows])
    shape = (len(scales), int(slot.max()) + 1)

    def grid(of_points: Any, fill: float | bool) -> Any:
        out = np.full((*shape, *of_points.shape[1:]), fill, dtype=of_points.dtype)
        out[k_of, slot] = of_points
        return out

    return Points(
        variant=variant,
        axes=axes,
        scale=scales,
        x=grid(x[first], 0.0),
        loss=grid(np.where(dead, np.nan, mean), np.nan),
        count=grid(np.where(dead, 0, total), 0),
        spread=grid(np.where(dead, 0.0, spread), 0.0),
        at_zero=grid(zero[first], False),
        real=grid(np.ones(len(first), dtype=bool), False),
        runs=np.bincount(k),
        diverged=np.bincount(k, weights=np.isnan(loss)).astype(np.int64),
    )


def _means(
    loss: FloatArray, cell: IntArray, k: IntArray, k_of: IntArray, dead: BoolArray, seed: StrArray
) -> tuple[FloatArray, FloatArray]:
    """Mean loss and sum of squares of each point, what a seed adds to all losses of a scale taken off."""
    finite = np.isfinite(loss)
    value = np.where(finite, loss, 0.0)
    label = np.unique(seed, return_inverse=True)[1].astype(np.float64)
    effect = seed_effects(value, np.where(finite & ~dead[cell], cell, -1), k, label)
    value = value - effect
    total = np.bincount(cell)
    mean = np.bincount(cell, weights=value * finite) / np.maximum(total, 1)
    several = np.bincount(k_of, weights=(total > 1) & ~dead, minlength=int(k.max()) + 1).astype(float)
    lost = freedom_lost(several, np.bincount(k, weights=effect != 0, minlength=int(k.max()) + 1) > 0)
    return mean, lost[k_of] * np.bincount(cell, weights=finite * (value - mean[cell]) ** 2)


def surface_coefficients(d: int) -> int:
    """Of a quadratic surface in d hyperparameters."""
    return 1 + d + d * (d + 1) // 2


def windows(points: Points) -> BoolArray:
    """Which points count, [K, N]: the lowest of a scale, and all that are not far above them.

    A scale with fewer points than a surface can be told from has none.
    """
    d = points.x.shape[-1]
    local = 1 + 2 * d + d * (d - 1) // 2
    kept = np.zeros(points.loss.shape, dtype=bool)
    for k, usable in enumerate(points.usable):
        if usable.sum() < d + 2 or not _spans(points.x[k, usable]):
            continue
        order = np.sort(points.loss[k, usable])
        floor = order[min(THIRD, len(order) - 1)]  # the lowest alone may be a wild run
        rise, order = points.loss[k] - floor, order - floor
        enough = order[min(int(JOINT.window_cells * local), len(order)) - 1]
        least = max(JOINT.window_nats, JOINT.window_sd * noise_guess(points), float(enough))
        most = order[min(JOINT.most_cells, len(order)) - 1]
        kept[k] = usable & (rise <= min(least, most))
    return kept


def _spans(x: FloatArray) -> bool:
    """Whether points [n, d] lie in no plane: every direction of the hyperparameters is looked along."""
    return bool(np.linalg.matrix_rank(x - x.mean(axis=0), tol=1e-3) == x.shape[1])


def noise_guess(points: Points) -> float:
    """Sd of a run, nats, before any fit: from repeats; without them a usual one."""
    spare = np.maximum(points.count - 1, 0)
    if spare.sum() < 5:
        return 0.003
    low = (spare > 0) & (points.loss <= np.nanmedian(points.loss, axis=1, keepdims=True))
    return float(np.sqrt(points.spread[low].sum() / max(spare[low].sum(), 1)))
