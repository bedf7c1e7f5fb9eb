"""What each scale offers before any fit: the cells around its lowest, its edges, bounds and warnings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hptransfer.landscape import FloatArray
from hptransfer.quantify.cells import BoolArray, Cells, IntArray

MIN_SPARE = 5  # more runs than cells, from which seeds tell the noise
WINDOW = 2.5  # octaves either side of the lowest cell that a fit looks at
NEAREST = 2  # cells either side that it looks at however far they are
# A fall back by this share of the climb, and by this much, is another minimum and not noise.
WELL_SHARE = 0.2
WELL_NATS = 0.01
FAR_SD = 8.0  # the window is widened until its ends rise above the lowest cell by this many sd of noise
WELL_SD = 2.5  # and by this many sd of noise
RIVAL_NATS = 0.01  # a second minimum this close to the lowest makes the choice between them uncertain


@dataclass(frozen=True)
class ScaleSurvey:
    """One scale.

    Attributes:
        slots: of the cells to fit; empty where there is no basin inside the grid.
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
    if spare >= MIN_SPARE:
        low = cells.loss <= np.nanmedian(cells.loss, axis=1, keepdims=True)
        low &= cells.count > 1
        if low.any():
            each = cells.spread[low] / (cells.count[low] - 1)
            return float(np.sqrt(np.median(each) / np.median(cells.count[low])))
    rough = []
    for loss in cells.loss:
        known = loss[~np.isnan(loss)]
        best = int(np.argmin(known)) if len(known) else 0
        near = known[max(best - 4, 0) : best + 5]
        rough += list(np.abs(near[:-3] - 3 * near[1:-2] + 3 * near[2:-1] - near[3:]) / np.sqrt(20.0))
    return float(np.percentile(rough, 25) / 0.32) if rough else 0.0


def survey(cells: Cells, k: int, noise: float = 0.0) -> ScaleSurvey:
    """Looks at scale k. Diverged cells wall the range off: what lies beyond them is not this basin."""
    nothing = np.zeros(0, dtype=np.int64)
    if not cells.usable[k].any():
        return ScaleSurvey(nothing, 0, 0, -np.inf, np.inf, ("all_diverged",))
    x, loss = cells.x[k], cells.loss[k]
    best = int(np.nanargmin(loss))
    wall = ~np.isnan(x) & cells.censored[k]
    left, right = np.flatnonzero(wall[:best]), np.flatnonzero(wall[best:])
    first = int(left[-1]) + 1 if len(left) else 0
    last = best + int(right[0]) - 1 if len(right) else int((~np.isnan(x)).sum()) - 1
    if last == first:
        low = float(x[first - 1]) if first else -np.inf
        high = float(x[last + 1]) if len(right) else np.inf
        return ScaleSurvey(nothing, best, 0, low, high, ("thin",))
    if best == first:
        low = float(x[first - 1]) if first else -np.inf
        return ScaleSurvey(nothing, best, -1, low, float(x[best + 1]), ("at_edge",))
    if best == last:
        high = float(x[last + 1]) if len(right) else np.inf
        return ScaleSurvey(nothing, best, 1, float(x[best - 1]), high, ("at_edge",))
    lowest, highest = float(x[first]), float(x[last])
    flags = ("two_minima",) if _has_rival(loss[cells.usable[k]], loss[best], noise) else ()
    first, last = _own_well(loss, first, best, last, noise)
    slots = np.arange(first, last + 1)
    slots = slots[_window(x[slots] - x[best], loss[slots] - loss[best], slots - best, noise)]
    return ScaleSurvey(slots, best, 0, lowest, highest, flags)


def _window(u: FloatArray, rise: FloatArray, away: IntArray, noise: float) -> BoolArray:
    """Cells within the window or among the nearest; on each side wider where the loss hardly rises."""
    out = (np.abs(u) <= WINDOW) | (np.abs(away) <= NEAREST)
    for side in (away < 0, away > 0):
        inside = np.flatnonzero(out & side)
        order = np.flatnonzero(side)[np.argsort(np.abs(away[side]))]
        beyond = [i for i in order if i not in inside]
        while beyond and rise[out & side].max(initial=0.0) < FAR_SD * noise:
            out[beyond.pop(0)] = True
    return out


def _own_well(loss: FloatArray, first: int, best: int, last: int, noise: float) -> tuple[int, int]:
    """Cuts the range at the crest before another minimum."""
    ends = []
    for side in (loss[best : last + 1], loss[first : best + 1][::-1]):
        crest = np.maximum.accumulate(side)
        fallen = np.flatnonzero(crest - side > WELL_SHARE * (crest - side[0]) + WELL_NATS + WELL_SD * noise)
        ends.append(int(np.argmax(side[: fallen[0]])) if len(fallen) else len(side) - 1)
    return best - max(ends[1], 1), best + max(ends[0], 1)


def _has_rival(loss: FloatArray, lowest: float, noise: float) -> bool:
    """Whether another cell is nearly as low with a clear crest in between."""
    best = int(np.argmin(loss))
    for side in (loss[best:], loss[: best + 1][::-1]):
        climbed = np.maximum.accumulate(side) - side > WELL_NATS + WELL_SD * noise
        if (climbed & (side - lowest < RIVAL_NATS)).any():
            return True
    return False
