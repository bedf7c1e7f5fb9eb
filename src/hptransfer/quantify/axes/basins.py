"""Basins at the points of several axes: every point is a scale of its own for `basin.fit`."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np

from hptransfer.quantify.axes.design import Points
from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.basin.cells import Cells, cells_of
from hptransfer.quantify.basin.fit import fit_basins
from hptransfer.quantify.priors import AXES
from hptransfer.sweep.table import FloatArray, IntArray, SweepTable

ANGLES = 8  # directions tried over two axes
ROUNDS = 6  # of reweighting
NAMES = ("scale", "x", "loss", "count", "spread", "censored", "runs", "diverged", "tilt", "tilt_freedom")


def points_of(sweep: SweepTable, values: FloatArray, axes: tuple[str, ...]) -> list[tuple[Points, Cells]]:
    """Points and cells of each variant, in order of first appearance; `values` [runs, A] of the axes."""
    every, number = np.unique(values, axis=0, return_inverse=True)
    out = []
    for cells in cells_of(replace(sweep, scale=np.asarray(number.ravel() + 1.0, dtype=np.float64))):
        rows = np.round(cells.scale).astype(int) - 1
        out.append((Points(axes, every[rows]), cells))
    return out


def some_points(cells: Cells, rows: IntArray) -> Cells:
    """The cells of some of the points."""
    return replace(cells, **{name: getattr(cells, name)[rows] for name in NAMES})


def directions(axes: int) -> FloatArray:
    """Unit directions in the space of log2 of the axes, either sign being the same, [directions, A]."""
    if axes == 2:
        angle = np.arange(ANGLES) * np.pi / ANGLES
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)
    found = [d for d in product((1, 0, -1), repeat=axes) if any(d) and next(v for v in d if v) > 0]
    return np.array([np.array(d) / np.linalg.norm(d) for d in found])


def fit_points(
    points: Points, cells: Cells, draws: int, seed: int, direction: FloatArray | None = None
) -> tuple[Basins, FloatArray]:
    """The basins of one variant's points, and the direction along which curvatures were found to go.

    Basins share a shape, and their log curvature lies on a line in one coordinate. Over several axes that
    line
    is a plane, which is a line along its steepest direction: the direction under which points differ least
    from the shared shape.

    Args:
        points: of the cells.
        cells: of one variant.
        draws: number of posterior draws.
        seed: of them.
        direction: of the curvature, where it is known from a fit of more points.
    """
    z = points.z - points.z.mean(axis=0)
    cells = replace(cells, expected=_expected(cells, z))
    if direction is not None:
        basins = replace(fit_basins([_along(cells, z @ direction)], draws, seed)[0], cells=cells)
        return _shifted(basins, seed), direction
    tried = directions(z.shape[1])  # what is compared needs no draws
    misfits = [fit_basins([_along(cells, z @ one)], 2, seed)[0].misfit for one in tried]
    return fit_points(points, cells, draws, seed, tried[int(np.nanargmin([*misfits, np.inf]))])


def _shifted(basins: Basins, seed: int) -> Basins:
    """The basins with an error that all optima share: the true shape is never quite one of those fitted.

    The more points share a shape, the better it seems known, and the more this error counts.
    """
    if not basins.fitted.any():
        return basins
    width = float(np.exp(-0.5 * np.median(basins.log_curvature[basins.fitted])))
    draws = np.random.default_rng([seed, 14]).standard_normal((len(basins.x_draws), 1))
    return replace(basins, x_draws=basins.x_draws + AXES.shape_shift * width * draws)


def _along(cells: Cells, t: FloatArray) -> Cells:
    """The cells with 2**t as their scale."""
    return replace(cells, scale=np.exp2(t))


def _expected(cells: Cells, z: FloatArray) -> FloatArray:
    """log2 eta where a plane through the lowest cells expects each point's optimum, [K].

    It decides between two minima of one point.
    """
    known = np.flatnonzero(cells.usable.any(axis=1))
    lowest = cells.x[known, np.nanargmin(cells.loss[known], axis=1)]
    basis = np.column_stack([np.ones(len(z)), z])
    weight = np.ones(len(known))
    for _ in range(ROUNDS):  # least absolute distance, by reweighting
        root = np.sqrt(weight)
        plane = np.linalg.lstsq(basis[known] * root[:, None], lowest * root, rcond=None)[0]
        weight = 1.0 / np.maximum(np.abs(lowest - basis[known] @ plane), 0.1)
    return np.asarray(basis @ plane)
