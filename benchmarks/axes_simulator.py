"""Simulated sweeps over two or three axes with a known law: grids, stars, diagonals and ragged designs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hptransfer.sweep.table import Columns, FloatArray, SweepTable
from simulator import _centred, _instability, _shape

NAMES = ("params", "tokens", "depth")
DESIGNS = ("grid", "star", "ragged", "band")  # designs that tell all axes apart
COLLINEAR = ("diagonal", "nearly_diagonal")
# How optima leave the plane: not at all, single points, a turning along the axes, a bend or an interaction.
DEPARTURES = ("none", "scatter", "walk", "ragged_side", "interaction")
WALKS = (0.03, 0.2)  # sd of the turning along each axis, octaves per root of an octave
SCATTERS = (0.03, 0.12)  # octaves
INTERACTIONS = (0.0, 0.06)  # octaves per octave^2, either sign


@dataclass(frozen=True)
class AxesTruth:
    """What a sweep was made from: exponents, and the optimum at places beyond the runs."""

    slopes: FloatArray  # d log eta* / d log n of each axis, [A]
    places: FloatArray  # values of the axes at what is predicted, [M, A]
    x: FloatArray  # log2 eta* there, [M]
    labels: tuple[str, ...]  # of the places
    optima: FloatArray  # log2 eta* at the points of the runs, [K]
    points: FloatArray  # their values, [K, A]


@dataclass(frozen=True)
class AxesStudy:
    """One simulated sweep."""

    axes: tuple[str, ...]
    sweep: SweepTable
    truth: AxesTruth


def design(kind: str, axes: int, rng: np.random.Generator) -> FloatArray:
    """Octaves of each axis above its smallest value, at the points of a design, [K, A]."""
    levels = [np.cumsum(np.r_[0.0, rng.choice([1.0, 1.0, 2.0], rng.integers(2, 4))]) for _ in range(axes)]
    grid = np.stack(np.meshgrid(*levels, indexing="ij"), axis=-1).reshape(-1, axes)
    if kind == "grid":
        return grid
    if kind == "star":  # one axis at a time from the middle of the others
        middle = np.array([values[len(values) // 2] for values in levels])
        points = [middle]
        for i, values in enumerate(levels):
            points += [np.where(np.arange(axes) == i, value, middle) for value in values]
        return np.unique(np.array(points), axis=0)
    if kind == "ragged":
        keep = rng.random(len(grid)) > 0.35
        keep[rng.permutation(len(grid))[: axes + 4]] = True
        return grid[keep]
    along = np.repeat(np.arange(5.0), 3 if kind == "band" else 1)[:, None] * np.ones(axes)
    if kind == "band":  # as step-law: tokens follow the parameters, several ratios each
        along[:, 1] += np.tile([0.0, 1.5, 2.5], 5)
        along[:, 2:] = rng.integers(0, 3, (15, max(axes - 2, 0)))
        return along
    along = along * rng.uniform(0.4, 1.6, axes)
    return along + (0.03 * rng.standard_normal(along.shape) if kind == "nearly_diagonal" else 0.0)


def simulate_axes(kind: str, departure: str, axes: int, seed: int) -> AxesStudy:
    """One sweep of a design, whose optima leave their plane as `departure` says."""
    rng = np.random.default_rng([seed, sum(map(ord, kind + departure)), axes])
    t = design(kind, axes, rng)
    ends = t.max(axis=0)
    ahead, labels = _ahead(ends)
    x = _optima(np.vstack([t, ahead]), departure, rng)
    slopes, optima = x[1], x[0]
    rows = _runs(t, optima[: len(t)], departure, rng)
    start = np.array([1e8, 2e9, 4.0])[:axes]
    values = start * np.exp2(t)
    k, hp, loss = (np.array(column) for column in zip(*rows, strict=True))
    k = k.astype(int)
    sweep = SweepTable(
        np.full(len(k), "all"), values[k, 0], np.exp2(hp), np.full(len(k), ""), loss,
        extra={name: values[k, i] for i, name in enumerate(NAMES[:axes]) if i},
        columns=Columns(scale=NAMES[0]),
    )  # fmt: skip
    truth = AxesTruth(slopes, start * np.exp2(ahead), optima[len(t) :], labels, optima[: len(t)], values)
    return AxesStudy(NAMES[:axes], sweep, truth)


def _ahead(ends: FloatArray) -> tuple[FloatArray, tuple[str, ...]]:
    """Places 4x along each axis, and the corner 4x by 8x, octaves."""
    axes = len(ends)
    places = [ends + 2.0 * (np.arange(axes) == i) for i in range(axes)]
    places.append(ends + np.array([2.0, 3.0, 1.0])[:axes])
    return np.array(places), (*(f"4x {name}" for name in NAMES[:axes]), "corner 4x by 8x")


def _optima(t: FloatArray, departure: str, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """log2 eta* at places [P, A] of octaves, and the slopes."""
    slopes = np.array([rng.uniform(-0.9, 0.1), rng.uniform(-0.4, 0.5), rng.uniform(-0.5, 0.3)])[: t.shape[1]]
    x = rng.uniform(-9.5, -6.5) + t @ slopes
    if departure in ("scatter", "ragged_side"):
        x = x + rng.uniform(*SCATTERS) * rng.standard_normal(len(t))
    if departure == "walk":
        for i in range(t.shape[1]):
            at, back = np.unique(t[:, i], return_inverse=True)
            steps = rng.standard_normal(len(at)) * np.sqrt(np.diff(at, prepend=at[0]))
            x = x + rng.uniform(*WALKS) * np.cumsum(steps)[back.ravel()]
    if departure == "interaction":
        middle = t - t.mean(axis=0)
        x = x + rng.uniform(*INTERACTIONS) * rng.choice([-1, 1]) * middle[:, 0] * middle[:, 1]
    return x, slopes


def _runs(
    t: FloatArray, x: FloatArray, departure: str, rng: np.random.Generator
) -> list[tuple[int, float, float]]:
    """Point, log2 of the learning rate and loss of every run."""
    shape, wall = _shape("skewed", rng)
    centred, _ = _centred(shape)
    alpha, gain = rng.uniform(0.2, 0.7, t.shape[1]), rng.uniform(0.2, 0.8, t.shape[1])
    level, bend = rng.uniform(1.5, 3.0), rng.uniform(-0.25, 0.15, t.shape[1])
    step, sigma = float(rng.choice([0.5, 1.0])), float(np.exp(rng.uniform(np.log(0.001), np.log(0.008))))
    off, half, phase = rng.uniform(-1.0, 1.0), rng.uniform(2.5, 4.0), rng.uniform(0, step)
    rows = []
    for k in range(len(t)):
        low, high = x[k] + off - half, x[k] + off + half
        grid = phase + step * np.arange(np.ceil((low - phase) / step), np.floor((high - phase) / step) + 1)
        u = grid - x[k]
        loss = level + float(gain @ np.exp2(-alpha * t[k])) + centred(u) * 2.0 ** float(bend @ t[k])
        loss = loss + sigma * (1 + 0.5 * np.maximum(u, 0)) * rng.standard_normal(len(u))
        if departure == "ragged_side":
            loss = loss + _instability(u, rng)
        rows += [(k, g, v) for g, v in zip(grid, np.where(u < wall, loss, np.nan), strict=True)]
    return rows
