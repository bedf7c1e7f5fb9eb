"""The places that a law over several axes is asked for, and what figures show of the answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hptransfer.quantify.axes.design import OFF_PATH
from hptransfer.quantify.axes.model import AxesModel, AxesSettings, Basis
from hptransfer.quantify.axes.result import AxisBand, Surface
from hptransfer.sweep.table import FloatArray

GRID = 15  # places of a surface along each axis
LINE = 25  # places of a band
BEYOND = 1.0  # octaves that figures reach beyond runs and targets


@dataclass(frozen=True)
class Asked:
    """The places that the law is asked for, log2 of all axes: targets, then bands, then the surface."""

    targets: FloatArray  # [T, A]
    bands: tuple[tuple[int, FloatArray], ...]  # axis and places [P, A] of each
    surface: tuple[int, int, FloatArray, FloatArray] | None  # two axes and log2 of their values

    @property
    def surface_places(self) -> FloatArray:
        """Places of the surface, the first axis quickest, [X * Y, A]; none without."""
        if self.surface is None:
            return np.zeros((0, self.targets.shape[1]))
        i, j, x, y = self.surface
        base = self.bands[0][1][0].copy()
        out = np.tile(base, (len(x) * len(y), 1))
        out[:, i], out[:, j] = np.tile(x, len(y)), np.repeat(y, len(x))
        return out

    @property
    def every(self) -> FloatArray:
        """All places, [M, A]."""
        return np.vstack([self.targets, *(places for _, places in self.bands), self.surface_places])


def asked_places(basis: Basis, s: AxesSettings) -> Asked:
    """The targets; a line along every free axis through the first target, or the farthest point; a grid."""
    axes, z = s.axes, basis.points.z
    targets = np.log2(np.array([[t[axis] for axis in axes] for t in s.targets])).reshape(-1, len(axes))
    on_path = targets[basis.design.off_path(targets) <= OFF_PATH]
    base = on_path[0] if len(on_path) else z[np.argmax(z.sum(axis=1))]
    low = np.vstack([z, on_path]).min(axis=0) - BEYOND
    high = np.vstack([z, on_path]).max(axis=0) + BEYOND
    bands = []
    for i in basis.design.free:
        places = np.tile(base, (LINE, 1))
        places[:, i] = np.linspace(low[i], high[i], LINE)
        bands.append((i, places))
    free = basis.design.free
    if len(free) < 2:
        return Asked(targets, tuple(bands), None)
    i, j = free[:2]
    return Asked(
        targets, tuple(bands), (i, j, np.linspace(low[i], high[i], GRID), np.linspace(low[j], high[j], GRID))
    )


def _limits(draws: FloatArray, level: float) -> FloatArray:
    """Lower and upper limits of draws [B, P], [2, P]."""
    side = 0.5 * (1.0 - level)
    return np.asarray(np.quantile(draws, [side, 1.0 - side], axis=0))


def bands_of(model: AxesModel, asked: Asked, level: float) -> tuple[AxisBand, ...]:
    """The law along each free axis, with its limits."""
    out, start, axes = [], len(asked.targets), model.basis.design.axes
    for i, places in asked.bands:
        rows = slice(start, start + len(places))
        low, high = _limits(model.hp.at_draws[:, rows], level)
        rest = {axis: float(np.exp2(places[0, j])) for j, axis in enumerate(axes) if j != i}
        out.append(AxisBand(axes[i], places[:, i], model.hp.at[rows], low, high, rest))
        start += len(places)
    return tuple(out)


def surfaces_of(model: AxesModel, asked: Asked, level: float) -> tuple[Surface, ...]:
    """The law over the first two free axes, with its limits; none where there is but one."""
    if asked.surface is None:
        return ()
    i, j, x, y = asked.surface
    count, axes = len(x) * len(y), model.basis.design.axes
    low, high = _limits(model.hp.at_draws[:, -count:], level)
    shape = (len(y), len(x))
    low, high = low.reshape(shape), high.reshape(shape)
    return (Surface((axes[i], axes[j]), x, y, model.hp.at[-count:].reshape(shape), high - low, low, high),)
