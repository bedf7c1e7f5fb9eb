"""Bracket: the first runs of each basin, which find where its optimum lies.

Cheap scales first. The smallest scale is searched coarsely, over the whole grid; each larger one only around
where the smaller ones put its optimum. A basin is bracketed when its lowest run has higher (or diverged) ones
on both sides, none further than `NEAR` octaves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hptransfer.design.grid import Basin, Seen, Space

COARSE = 2.0  # octaves between the first runs of the smallest scale
AROUND = 1.0  # octaves from the expected optimum to the runs beside it at the other scales
NEAR = 1.5  # octaves from the lowest run to its neighbours, at most
SHRINK = 0.5  # octaves a doubling: how steep an optimum is expected to drift in the grid's coordinates
SLACK = 0.15  # octaves: how well a bracket tells the optimum


@dataclass(frozen=True)
class Brackets:
    """How far the brackets of one variant are.

    Attributes:
        open: the scale that is being bracketed, as its basin; None where none is.
        needs: the places it needs next.
        done: log2 eta of the optimum of each scale that is bracketed, by place of the scale.
        next: the first scale that was never run, None where there is none.
        first: the places it would begin with.
    """

    open: Basin | None
    needs: tuple[int, ...]
    done: Mapping[int, float]
    next: Basin | None = None
    first: tuple[int, ...] = ()


def brackets(space: Space, seen: Seen, variant: str) -> Brackets:
    """The state of a variant's brackets, cheapest scale first."""
    found: dict[int, float] = {}
    for k in range(len(space.scales)):
        basin = (variant, k)
        if basin not in space.x:
            continue
        levels = seen.levels(basin)
        if not levels:
            return Brackets(None, (), found, basin, tuple(_first(space, basin, found)))
        if places := missing(space, basin, levels):
            return Brackets(basin, tuple(places), found)
        if (x := lowest(space, basin, levels)) is not None:
            found[k] = x
    return Brackets(None, (), found)


def missing(space: Space, basin: Basin, levels: Mapping[int, float]) -> list[int]:
    """Places without which the lowest run is not bracketed; empty where it is, or the grid ends."""
    x, last = space.x[basin], len(space.x[basin]) - 1
    stride = _stride(space, basin, AROUND)
    finite = [place for place, level in levels.items() if math.isfinite(level)]
    if not finite:
        low = min(levels)
        return [max(low - 2 * stride, 0)] if low > 0 else []
    best = min(finite, key=lambda place: (levels[place], place))
    left = max((p for p in levels if p < best), default=None)
    right = min((p for p in levels if p > best), default=None)
    out = []
    if left is None and best > 0:
        out.append(max(best - stride, 0))
    elif left is not None and best - left > 1 and x[best] - x[left] > NEAR:
        out.append((best + left) // 2)
    if right is None and best < last:
        out.append(min(best + stride, last))
    elif right is not None and right - best > 1 and x[right] - x[best] > NEAR:
        out.append((best + right + 1) // 2)
    return out


def lowest(space: Space, basin: Basin, levels: Mapping[int, float]) -> float | None:
    """log2 eta of the optimum, by a parabola through the lowest runs; None where all diverged."""
    x = space.x[basin]
    places = [place for place, level in levels.items() if math.isfinite(level)]
    if not places:
        return None
    i = min(range(len(places)), key=lambda i: levels[places[i]])
    if not 0 < i < len(places) - 1:
        return float(x[places[i]])
    a, b, c = (float(x[p]) for p in places[i - 1 : i + 2])
    fa, fb, fc = (levels[p] for p in places[i - 1 : i + 2])
    top = (b - a) ** 2 * (fb - fc) - (b - c) ** 2 * (fb - fa)
    bottom = (b - a) * (fb - fc) - (b - c) * (fb - fa)
    return float(np.clip(b - 0.5 * top / bottom, a, c)) if bottom else b


def expected(space: Space, found: Mapping[int, float], k: int) -> float:
    """log2 eta where the optimum of scale k should lie, from those of other scales.

    On a line whose slope is drawn towards none, more so the fewer and the closer the scales are.
    """
    t = np.log2(space.scales[list(found)])
    y = np.array(list(found.values()))
    u = t - t.mean()
    slope = float(u @ y / (u @ u + (SLACK / SHRINK) ** 2))
    return float(y.mean() + slope * (np.log2(space.scales[k]) - t.mean()))


def _first(space: Space, basin: Basin, found: Mapping[int, float]) -> list[int]:
    """The first runs of a basin: coarse over the whole range, or around what smaller scales say."""
    first, last = space.start[basin]
    if not found:
        stride = min(_stride(space, basin, COARSE), max((last - first) // 2, 1))
        offset = (last - first) % stride // 2
        return list(range(first + offset, last + 1, stride))
    stride = _stride(space, basin, AROUND)
    end = len(space.x[basin]) - 1
    middle = min(
        max(space.nearest(basin, expected(space, found, basin[1])), min(stride, end)), max(end - stride, 0)
    )
    return sorted({min(max(p, 0), end) for p in (middle - stride, middle, middle + stride)})


def _stride(space: Space, basin: Basin, octaves: float) -> int:
    return max(round(octaves / space.step(basin)), 1)
