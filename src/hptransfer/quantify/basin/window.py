"""Which cells of a scale belong to its basin: up to the crest, the shoulder, the cliff or the edge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hptransfer.quantify.basin.cells import Cells
from hptransfer.quantify.priors import WINDOW
from hptransfer.sweep.table import BoolArray, FloatArray, IntArray

THIRD_DIFFERENCE_VARIANCE = 20.0  # of independent noise of variance 1: 1 + 9 + 9 + 1
QUARTILE_OF_ABS_NORMAL = 0.3186  # of |z|, z standard normal: the normal's quantile at 5/8


@dataclass(frozen=True)
class BasinWindow:
    """What a scale offers before any fit.

    Attributes:
        slots: of the cells to fit, in `Cells`; empty where there is no basin inside the grid.
        best: slot of the lowest cell.
        edge: -1 where the lowest cell is the leftmost, +1 where it is the rightmost, else 0.
        low, high: range the optimum must lie in, octaves; infinite where nothing bounds it.
        flags: warnings.
    """

    slots: IntArray
    best: int
    edge: int
    low: float
    high: float
    flags: tuple[str, ...]


def noise_guess(cells: Cells) -> float:
    """Sd of a cell mean, nats, before any fit: from seeds, else from third differences (a basin has few)."""
    spare = int(np.maximum(cells.count - 1, 0).sum())
    if spare >= WINDOW.min_spare_runs:
        alive = cells.usable.any(axis=1)
        low = np.zeros(cells.loss.shape, dtype=bool)
        low[alive] = cells.loss[alive] <= np.nanmedian(cells.loss[alive], axis=1, keepdims=True)
        low &= cells.count > 1
        if low.any():
            each = cells.spread[low] / (cells.count[low] - 1)
            return float(np.sqrt(np.median(each) / np.median(cells.count[low])))
    rough = [sd for x, loss in zip(cells.x, cells.loss, strict=True) for sd in _third_differences(x, loss)]
    return float(np.percentile(rough, 25) / QUARTILE_OF_ABS_NORMAL) if rough else 0.0


def _third_differences(x: FloatArray, loss: FloatArray) -> FloatArray:
    """Absolute third differences of the losses of one scale about its lowest cell, in the sd of a cell."""
    x, loss = x[~np.isnan(loss)], loss[~np.isnan(loss)]
    if len(loss) < 4:
        return np.zeros(0)
    best = int(np.argmin(loss))
    first, last = max(best - WINDOW.noise_cells, 0), min(best + WINDOW.noise_cells, len(loss) - 1)
    if first < best < last:
        first, last = _before_cliff(x, loss, first, best, last)
    near = loss[first : last + 1]
    third = near[:-3] - 3 * near[1:-2] + 3 * near[2:-1] - near[3:]
    return np.asarray(np.abs(third) / np.sqrt(THIRD_DIFFERENCE_VARIANCE))


def select_windows(cells: Cells) -> list[BasinWindow]:
    """Every scale of a variant; of two minima nearly as low, the one on the line of the other scales."""
    noise = noise_guess(cells)
    found = [select_window(cells, k, noise) for k in range(len(cells.scale))]
    split = [k for k, s in enumerate(found) if "two_minima" in s.flags]
    clear = [k for k, s in enumerate(found) if len(s.slots) and k not in split]
    if not split or len(clear) < 3:
        return found
    t, x = np.log2(cells.scale), np.array([cells.x[k, s.best] for k, s in enumerate(found)])
    line = cells.expected
    if line is None:
        pairs = [(i, j) for j in clear for i in clear if i < j]
        line = float(np.median([(x[j] - x[i]) / (t[j] - t[i]) for i, j in pairs])) * t
    level = float(np.median([x[k] - line[k] for k in clear]))
    for k in split:
        minima = np.array([found[k].best, *_rivals(cells.loss[k], noise)])
        away = np.abs(cells.x[k, minima] - level - line[k])
        rise = (cells.loss[k, minima] - cells.loss[k, found[k].best]) / _rival_rise(noise)
        nearest = int(minima[np.argmin(away + rise)])
        if nearest != found[k].best:
            found[k] = select_window(cells, k, noise, nearest)
    return found


def select_window(cells: Cells, k: int, noise: float = 0.0, best: int | None = None) -> BasinWindow:
    """The window of scale k around its lowest cell, or around another minimum.

    Diverged cells wall the range off: what lies beyond them is not this basin.

    Args:
        cells: the runs of one variant.
        k: index of the scale.
        noise: sd of a cell mean, nats.
        best: slot of the minimum to look around; None is the lowest cell.
    """
    nothing = np.zeros(0, dtype=np.int64)
    if not cells.usable[k].any():
        return BasinWindow(nothing, 0, 0, -np.inf, np.inf, ("all_diverged",))
    x, loss = cells.x[k], cells.loss[k]
    best = int(np.nanargmin(loss)) if best is None else best
    wall = ~np.isnan(x) & cells.censored[k]
    left, right = np.flatnonzero(wall[:best]), np.flatnonzero(wall[best:])
    first = int(left[-1]) + 1 if len(left) else 0
    last = best + int(right[0]) - 1 if len(right) else int((~np.isnan(x)).sum()) - 1
    if last == first:
        low = float(x[first - 1]) if first else -np.inf
        high = float(x[last + 1]) if len(right) else np.inf
        return BasinWindow(nothing, best, 0, low, high, ("thin",))
    flags = ("two_minima",) if _rivals(loss, noise) else ()
    if best == first:
        low = float(x[first - 1]) if first else -np.inf
        return BasinWindow(nothing, best, -1, low, float(x[best + 1]), ("at_edge", *flags))
    if best == last:
        high = float(x[last + 1]) if len(right) else np.inf
        return BasinWindow(nothing, best, 1, float(x[best - 1]), high, ("at_edge", *flags))
    lowest, highest = float(x[first]), float(x[last])
    first, last = _own_well(loss, first, best, last, noise)
    first, last = _before_shoulder(x, loss, first, best, last, noise)
    first, last = _before_cliff(x, loss, first, best, last)
    slots = np.arange(first, last + 1)
    slots = slots[_window(x[slots] - x[best], loss[slots] - loss[best], slots - best, noise)]
    return BasinWindow(slots, best, 0, lowest, highest, flags)


def _window(u: FloatArray, rise: FloatArray, away: IntArray, noise: float) -> BoolArray:
    """Cells within the window or among the nearest; on each side wider where the loss hardly rises.

    `u` and `away` are the distances from the lowest cell in octaves and in cells, `rise` the loss above its.
    """
    out = (np.abs(u) <= WINDOW.half_width) | (np.abs(away) <= WINDOW.nearest_cells)
    for side in (away < 0, away > 0):
        inside = np.flatnonzero(out & side)
        order = np.flatnonzero(side)[np.argsort(np.abs(away[side]))]
        beyond = [i for i in order if i not in inside]
        while beyond and rise[out & side].max(initial=0.0) < WINDOW.end_rise_sd * noise:
            out[beyond.pop(0)] = True
    return out


def _own_well(loss: FloatArray, first: int, best: int, last: int, noise: float) -> tuple[int, int]:
    """Cuts the range of cells, first to last, at the crest before another minimum than the lowest cell's."""
    ends = []
    for side in (loss[best : last + 1], loss[first : best + 1][::-1]):
        crest = np.maximum.accumulate(side)
        least = WINDOW.well_fraction * (crest - side[0]) + WINDOW.well_nats + WINDOW.well_sd * noise
        fallen = np.flatnonzero(crest - side > least)
        ends.append(int(np.argmax(side[: fallen[0]])) if len(fallen) else len(side) - 1)
    return best - max(ends[1], 1), best + max(ends[0], 1)


def _before_shoulder(
    x: FloatArray, loss: FloatArray, first: int, best: int, last: int, noise: float
) -> tuple[int, int]:
    """Cuts the range of cells where a side that climbs flattens: beyond is another well, or a plateau."""
    ends = []
    for side in (slice(best, last + 1), slice(best, None if first == 0 else first - 1, -1)):
        gap, rise = np.abs(np.diff(x[side])), np.diff(loss[side])
        slope, error = rise / gap, WINDOW.shoulder_sd * noise * np.sqrt(2.0) / gap
        steepest = np.maximum.accumulate(slope)
        flat = slope[1:] + error[1:] < WINDOW.shoulder_fraction * (steepest[:-1] - error[:-1])
        found = np.flatnonzero(flat)
        ends.append(int(found[0]) + 1 if len(found) else len(rise))
    return best - max(ends[1], 1), best + max(ends[0], 1)


def _before_cliff(x: FloatArray, loss: FloatArray, first: int, best: int, last: int) -> tuple[int, int]:
    """Cuts the range before a cliff: a run beyond it has left the basin, as a diverged one has.

    The cells next to the lowest are kept, whatever they are: without them there is no basin.
    """
    x, loss, middle = x[first : last + 1], loss[first : last + 1], best - first
    bends = _bends(x, loss)  # at cells 1 ... -2
    rise, near = loss - loss[middle], np.abs(x - x[middle]) <= WINDOW.half_width
    right = _cliff(bends[middle - 1 :], rise[middle:], rise[: middle + 1][near[: middle + 1]].max())
    left = _cliff(bends[middle - 1 :: -1], rise[middle::-1], rise[middle:][near[middle:]].max())
    return best - left, best + right


def _cliff(bends: FloatArray, rise: FloatArray, across: float) -> int:
    """Cells that stay on a side.

    Args:
        bends: second differences from the lowest cell outward, [cells - 1].
        rise: above the lowest cell, of it and those outward, [cells].
        across: the largest rise on the other side, within the window.
    """
    inner = np.maximum.accumulate(np.maximum(bends, 0.0))[:-1]
    tall = rise[2:] > WINDOW.cliff_height_ratio * np.maximum(across, rise[1:-1])
    step = (bends[1:] > WINDOW.cliff_step_ratio * inner) & tall
    steep = (bends[1:] > WINDOW.cliff_curvature_ratio * inner) | step
    # A single high run is noise: beyond a cliff the loss stays up.
    stays = np.minimum.accumulate(rise[:1:-1])[::-1] > 0.5 * (rise[1:-1] + rise[2:])
    found = np.flatnonzero(steep & stays & (bends[1:] > WINDOW.cliff_min_curvature))
    return int(found[0]) + 1 if len(found) else len(rise) - 1


def _bends(x: FloatArray, loss: FloatArray) -> FloatArray:
    """Second divided differences (twice the usual: the curvature, if it is one), [cells - 2]."""
    slope = np.diff(loss) / np.diff(x)
    return np.asarray(2 * np.diff(slope) / (x[2:] - x[:-2]))


def _rivals(loss: FloatArray, noise: float) -> list[int]:
    """Slots, one a side, of other minima nearly as low as the lowest cell, with a clear crest in between."""
    lowest = int(np.nanargmin(loss))
    out = []
    for step in (-1, 1):
        side = np.arange(lowest, -1 if step < 0 else len(loss), step)
        side = side[~np.isnan(loss[side])]
        rise = loss[side] - loss[lowest]
        fallen = np.maximum.accumulate(rise) - rise > WINDOW.well_nats + WINDOW.well_sd * noise
        rival = fallen & (rise < _rival_rise(noise))
        if rival.any():
            out.append(int(side[rival][np.argmin(rise[rival])]))
    return out


def _rival_rise(noise: float) -> float:
    """Height above the lowest cell, nats, below which another minimum is its rival."""
    return WINDOW.rival_nats + WINDOW.rival_sd * noise
