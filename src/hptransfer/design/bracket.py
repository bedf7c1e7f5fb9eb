"""The first runs of each basin, which find where its optimum lies.

Cheap scales first. The smallest scale is searched coarsely, over the whole grid; each larger one only around
where the smaller ones put its optimum. A basin is bracketed when its lowest run has higher (or diverged) ones
on both sides, none further than `BRACKET_REACH` octaves.

Throughout, `losses` are mean losses by place, nats, infinite where diverged; `found` is log2 eta of the
optimum by place of the scale.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hptransfer.design.grid import CandidateGrid, GridKey, Observations

COARSE_STRIDE = 2.0  # octaves between the first runs of the smallest scale
FINE_STRIDE = 1.0  # octaves from the expected optimum to the runs beside it at the other scales
BRACKET_REACH = 1.5  # octaves from the lowest run to its neighbours, at most
DRIFT_PRIOR_SD = 0.5  # octaves a doubling of the scale: expected drift of the optimum on the grid
BRACKET_SD = 0.15  # octaves: error of the optimum that a bracket gives


@dataclass(frozen=True)
class Brackets:
    """How far the brackets of one variant are."""

    active: GridKey | None  # the scale that is being bracketed, as its basin; None where none is
    missing: tuple[int, ...]  # the places it needs next
    # log2 eta of the optimum of each scale that is bracketed, by place of the scale
    optima: Mapping[int, float]
    # the first scale that was never run, as its basin; None where there is none
    next_scale: GridKey | None = None
    first_runs: tuple[int, ...] = ()  # the places it would begin with


def brackets(grid: CandidateGrid, observed: Observations, variant: str) -> Brackets:
    """The state of a variant's brackets, cheapest scale first."""
    found: dict[int, float] = {}
    for k in range(len(grid.scales)):
        basin = (variant, k)
        if basin not in grid.x:
            continue
        losses = observed.mean_losses(basin)
        if not losses:
            return Brackets(None, (), found, basin, tuple(_first(grid, basin, found)))
        if places := missing_places(grid, basin, losses):
            return Brackets(basin, tuple(places), found)
        if (x := bracketed_optimum(grid, basin, losses)) is not None:
            found[k] = x
    return Brackets(None, (), found)


def missing_places(grid: CandidateGrid, basin: GridKey, losses: Mapping[int, float]) -> list[int]:
    """Places without which the lowest run is not bracketed; empty where it is, or the grid ends."""
    x, last = grid.x[basin], len(grid.x[basin]) - 1
    stride = _stride(grid, basin, FINE_STRIDE)
    finite = [place for place, loss in losses.items() if math.isfinite(loss)]
    if not finite:
        low = min(losses)
        return [max(low - 2 * stride, 0)] if low > 0 else []
    best = min(finite, key=lambda place: (losses[place], place))
    left = max((p for p in losses if p < best), default=None)
    right = min((p for p in losses if p > best), default=None)
    out = []
    if left is None and best > 0:
        out.append(max(best - stride, 0))
    elif left is not None and best - left > 1 and x[best] - x[left] > BRACKET_REACH:
        out.append((best + left) // 2)
    if right is None and best < last:
        out.append(min(best + stride, last))
    elif right is not None and right - best > 1 and x[right] - x[best] > BRACKET_REACH:
        out.append((best + right + 1) // 2)
    return out


def bracketed_optimum(grid: CandidateGrid, basin: GridKey, losses: Mapping[int, float]) -> float | None:
    """log2 eta of the optimum, by a parabola through the lowest runs; None where all diverged."""
    x = grid.x[basin]
    places = [place for place, loss in losses.items() if math.isfinite(loss)]
    if not places:
        return None
    i = min(range(len(places)), key=lambda i: losses[places[i]])
    if not 0 < i < len(places) - 1:
        return float(x[places[i]])
    a, b, c = (float(x[p]) for p in places[i - 1 : i + 2])
    fa, fb, fc = (losses[p] for p in places[i - 1 : i + 2])
    top = (b - a) ** 2 * (fb - fc) - (b - c) ** 2 * (fb - fa)
    bottom = (b - a) * (fb - fc) - (b - c) * (fb - fa)
    return float(np.clip(b - 0.5 * top / bottom, a, c)) if bottom else b


def expected_optimum(grid: CandidateGrid, found: Mapping[int, float], k: int) -> float:
    """log2 eta where the optimum of scale k should lie, from those of other scales.

    On a line whose slope is drawn towards none, more so the fewer and the closer the scales are.
    """
    t = np.log2(grid.scales[list(found)])
    y = np.array(list(found.values()))
    u = t - t.mean()
    slope = float(u @ y / (u @ u + (BRACKET_SD / DRIFT_PRIOR_SD) ** 2))
    return float(y.mean() + slope * (np.log2(grid.scales[k]) - t.mean()))


def first_places(grid: CandidateGrid, basin: GridKey, expected: float) -> list[int]:
    """The first places of a basin: where its optimum is expected, and on both sides."""
    stride, end = _stride(grid, basin, FINE_STRIDE), len(grid.x[basin]) - 1
    middle = min(max(grid.nearest(basin, expected), min(stride, end)), max(end - stride, 0))
    return sorted({min(max(p, 0), end) for p in (middle - stride, middle, middle + stride)})


def _first(grid: CandidateGrid, basin: GridKey, found: Mapping[int, float]) -> list[int]:
    """The first places of a basin: coarse over the whole range, or around what smaller scales say."""
    if found:
        return first_places(grid, basin, expected_optimum(grid, found, basin[1]))
    first, last = grid.start[basin]
    stride = min(_stride(grid, basin, COARSE_STRIDE), max((last - first) // 2, 1))
    offset = (last - first) % stride // 2
    return list(range(first + offset, last + 1, stride))


def _stride(grid: CandidateGrid, basin: GridKey, octaves: float) -> int:
    return max(round(octaves / grid.step(basin)), 1)
