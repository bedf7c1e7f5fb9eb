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
LEAST_SPREAD = 0.25  # octaves by which scales must spread along a direction to tell of it


@dataclass(frozen=True)
class Brackets:
    """How far the brackets of one variant are."""

    # The scales that are being bracketed, as their basins, with the places that they need next; one at most
    # where there is one axis.
    active: Mapping[GridKey, tuple[int, ...]]
    # log2 eta of the optimum of each scale that is bracketed, by place of the scale
    optima: Mapping[int, float]
    # Scales that were never run and may be begun, as their basins, with the places to begin with, cheapest
    # first: over one axis the next scale alone.
    openings: Mapping[GridKey, tuple[int, ...]]


def brackets(grid: CandidateGrid, observed: Observations, variant: str) -> Brackets:
    """The state of a variant's brackets, cheapest scale first."""
    found: dict[int, float] = {}
    active: dict[GridKey, tuple[int, ...]] = {}
    never: list[GridKey] = []
    for k in range(len(grid.scales)):
        basin = (variant, k)
        if basin not in grid.x:
            continue
        losses = observed.mean_losses(basin)
        if not losses:
            never.append(basin)
        elif places := missing_places(grid, basin, losses):
            active[basin] = tuple(places)
        elif (x := bracketed_optimum(grid, basin, losses)) is not None:
            found[k] = x
        if not grid.axes and (active or never):
            break  # the larger ones wait
    return Brackets(active, found, {basin: tuple(_first(grid, basin, found)) for basin in never})


def needed_first(grid: CandidateGrid, state: Brackets) -> list[GridKey]:
    """Scales to begin before there can be a law, the cheapest that tell the axes apart; none once there can.

    The very first is begun alone, since it says where the optima of the others are to be looked for.
    """
    if state.active or not state.openings:
        return []
    have, free = list(state.optima), list(state.openings)
    wanted: list[GridKey] = []
    axes = len(grid.axes)
    while free and (len(have) < grid.least_scales or _rank(grid, have) < axes):
        raising = [basin for basin in free if _rank(grid, [*have, basin[1]]) > _rank(grid, have)]
        wanted.append((free if _rank(grid, have) >= axes or not raising else raising)[0])
        free.remove(wanted[-1])
        have.append(wanted[-1][1])
        if len(have) == 1 or not grid.axes:
            break
    return wanted


def _rank(grid: CandidateGrid, scales: list[int]) -> int:
    """How many directions some scales span."""
    if len(scales) < 2:
        return 0
    z = grid.z[scales]
    return int(np.linalg.matrix_rank(z - z.mean(axis=0), tol=LEAST_SPREAD))


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

    On a line, or plane, whose slope is drawn towards none, more so the fewer and the closer the scales are.
    """
    z, y = grid.z[list(found)], np.array(list(found.values()))
    u = z - z.mean(axis=0)
    ridge = (BRACKET_SD / DRIFT_PRIOR_SD) ** 2 * np.eye(z.shape[1])
    slopes = np.linalg.solve(u.T @ u + ridge, u.T @ y)
    return float(y.mean() + slopes @ (grid.z[k] - z.mean(axis=0)))


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
