"""What each scale offers before any fit: the cells around its lowest, its edges, bounds and warnings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hptransfer.quantify.basin.cells import Cells
from hptransfer.sweep.table import BoolArray, FloatArray, IntArray

MIN_SPARE = 5  # more runs than cells, from which seeds tell the noise
WINDOW = 3.2  # octaves either side of the lowest cell that a fit looks at
NEAREST = 2  # cells either side that it looks at however far they are
# A fall back by this share of the climb, and by this much, is another minimum and not noise.
WELL_SHARE = 0.2
WELL_NATS = 0.01
SHOULDER_SHARE = 0.6  # of the steepest slope further in: a side that climbs by less has left the basin
SHOULDER_SD = 2.0  # by this many sd of noise
FAR_SD = 8.0  # the window is widened until its ends rise above the lowest cell by this many sd of noise
WELL_SD = 2.5  # and by this many sd of noise
# Second differences of the loss that exceed those further in by this factor are a cliff, not a basin's side.
CLIFF_RATIO = 8.0
STEP_RATIO = 4.0  # or by this one, where the loss also rises
TALL = 2.0  # by this factor above all that is seen nearer, and on the other side
CLIFF_NATS = 0.1  # and they must be this large, nats per octave squared
RIVAL_NATS = 0.015  # a second minimum this close to the lowest makes the choice between them uncertain
RIVAL_SD = 3.0  # or closer, in sd of noise


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
        alive = cells.usable.any(axis=1)
        low = np.zeros(cells.loss.shape, dtype=bool)
        low[alive] = cells.loss[alive] <= np.nanmedian(cells.loss[alive], axis=1, keepdims=True)
        low &= cells.count > 1
        if low.any():
            each = cells.spread[low] / (cells.count[low] - 1)
            return float(np.sqrt(np.median(each) / np.median(cells.count[low])))
    rough = []
    for x, loss in zip(cells.x, cells.loss, strict=True):
        known = loss[~np.isnan(loss)]
        if len(known) < 4:
            continue
        best = int(np.argmin(known))
        first, last = max(best - 4, 0), min(best + 4, len(known) - 1)
        if first < best < last:
            first, last = _before_cliff(x[~np.isnan(loss)], known, first, best, last)
        near = known[first : last + 1]
        rough += list(np.abs(near[:-3] - 3 * near[1:-2] + 3 * near[2:-1] - near[3:]) / np.sqrt(20.0))
    return float(np.percentile(rough, 25) / 0.32) if rough else 0.0


def survey_all(cells: Cells) -> list[ScaleSurvey]:
    """Every scale of a variant; of two minima nearly as low, the one on the line of the other scales."""
    noise = noise_guess(cells)
    found = [survey(cells, k, noise) for k in range(len(cells.scale))]
    split = [k for k, s in enumerate(found) if "two_minima" in s.flags]
    clear = [k for k, s in enumerate(found) if len(s.slots) and k not in split]
    if not split or len(clear) < 3:
        return found
    t, x = np.log2(cells.scale), np.array([cells.x[k, s.best] for k, s in enumerate(found)])
    pairs = [(i, j) for j in clear for i in clear if i < j]
    slope = float(np.median([(x[j] - x[i]) / (t[j] - t[i]) for i, j in pairs]))
    level = float(np.median([x[k] - slope * t[k] for k in clear]))
    for k in split:
        minima = np.array([found[k].best, *_rivals(cells.loss[k], noise)])
        away = np.abs(cells.x[k, minima] - level - slope * t[k])
        rise = (cells.loss[k, minima] - cells.loss[k, found[k].best]) / (RIVAL_NATS + RIVAL_SD * noise)
        nearest = int(minima[np.argmin(away + rise)])
        if nearest != found[k].best:
            found[k] = survey(cells, k, noise, nearest)
    return found


def survey(cells: Cells, k: int, noise: float = 0.0, best: int | None = None) -> ScaleSurvey:
    """Looks at scale k around its lowest cell, or around another minimum, slot `best`.

    Diverged cells wall the range off: what lies beyond them is not this basin.
    """
    nothing = np.zeros(0, dtype=np.int64)
    if not cells.usable[k].any():
        return ScaleSurvey(nothing, 0, 0, -np.inf, np.inf, ("all_diverged",))
    x, loss = cells.x[k], cells.loss[k]
    best = int(np.nanargmin(loss)) if best is None else best
    wall = ~np.isnan(x) & cells.censored[k]
    left, right = np.flatnonzero(wall[:best]), np.flatnonzero(wall[best:])
    first = int(left[-1]) + 1 if len(left) else 0
    last = best + int(right[0]) - 1 if len(right) else int((~np.isnan(x)).sum()) - 1
    if last == first:
        low = float(x[first - 1]) if first else -np.inf
        high = float(x[last + 1]) if len(right) else np.inf
        return ScaleSurvey(nothing, best, 0, low, high, ("thin",))
    flags = ("two_minima",) if _rivals(loss, noise) else ()
    if best == first:
        low = float(x[first - 1]) if first else -np.inf
        return ScaleSurvey(nothing, best, -1, low, float(x[best + 1]), ("at_edge", *flags))
    if best == last:
        high = float(x[last + 1]) if len(right) else np.inf
        return ScaleSurvey(nothing, best, 1, float(x[best - 1]), high, ("at_edge", *flags))
    lowest, highest = float(x[first]), float(x[last])
    first, last = _own_well(loss, first, best, last, noise)
    first, last = _before_shoulder(x, loss, first, best, last, noise)
    first, last = _before_cliff(x, loss, first, best, last)
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


def _before_shoulder(
    x: FloatArray, loss: FloatArray, first: int, best: int, last: int, noise: float
) -> tuple[int, int]:
    """Cuts the range where a side that climbs flattens: beyond is another well, or a plateau."""
    ends = []
    for side in (slice(best, last + 1), slice(best, None if first == 0 else first - 1, -1)):
        gap, rise = np.abs(np.diff(x[side])), np.diff(loss[side])
        slope, doubt = rise / gap, SHOULDER_SD * noise * np.sqrt(2.0) / gap
        steepest = np.maximum.accumulate(slope)
        flat = slope[1:] + doubt[1:] < SHOULDER_SHARE * (steepest[:-1] - doubt[:-1])
        found = np.flatnonzero(flat)
        ends.append(int(found[0]) + 1 if len(found) else len(rise))
    return best - max(ends[1], 1), best + max(ends[0], 1)


def _before_cliff(x: FloatArray, loss: FloatArray, first: int, best: int, last: int) -> tuple[int, int]:
    """Cuts the range before a cliff: a run beyond it has left the basin, as a diverged one has.

    The cells next to the lowest are kept, whatever they are: without them there is no basin.
    """
    x, loss, middle = x[first : last + 1], loss[first : last + 1], best - first
    bends = _bends(x, loss)  # at cells 1 ... -2
    rise, near = loss - loss[middle], np.abs(x - x[middle]) <= WINDOW
    right = _cliff(bends[middle - 1 :], rise[middle:], rise[: middle + 1][near[: middle + 1]].max())
    left = _cliff(bends[middle - 1 :: -1], rise[middle::-1], rise[middle:][near[middle:]].max())
    return best - left, best + right


def _cliff(bends: FloatArray, rise: FloatArray, across: float) -> int:
    """Cells that stay on a side.

    Arguments:
        bends: second differences from the lowest cell outward, [cells - 1].
        rise: above the lowest cell, of it and those outward, [cells].
        across: the largest rise on the other side, within the window.
    """
    inner = np.maximum.accumulate(np.maximum(bends, 0.0))[:-1]
    tall = rise[2:] > TALL * np.maximum(across, rise[1:-1])
    steep = (bends[1:] > CLIFF_RATIO * inner) | ((bends[1:] > STEP_RATIO * inner) & tall)
    # A single high run is noise: beyond a cliff the loss stays up.
    stays = np.minimum.accumulate(rise[:1:-1])[::-1] > 0.5 * (rise[1:-1] + rise[2:])
    found = np.flatnonzero(steep & stays & (bends[1:] > CLIFF_NATS))
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
        fallen = np.maximum.accumulate(rise) - rise > WELL_NATS + WELL_SD * noise
        rival = fallen & (rise < RIVAL_NATS + RIVAL_SD * noise)
        if rival.any():
            out.append(int(side[rival][np.argmin(rise[rival])]))
    return out
