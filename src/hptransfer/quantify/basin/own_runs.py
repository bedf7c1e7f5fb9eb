"""What a scale's own runs say of its optimum, beside the shape that all scales share.

Real basins do not all have one shape. A scale whose runs make a clear V in one place is believed in part, in
so far as the noise lets its own parabola tell, and the distance between the two is an error of either.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.priors import CHECKS, OWN_RUNS
from hptransfer.sweep.table import FloatArray

LARGEST_SD = 4.0  # octaves; a parabola that is known less well says nothing either way


@dataclass(frozen=True)
class OwnOptima:
    """Vertices of the scales' own parabolas; NaN where a scale has none."""

    x: FloatArray  # log2 eta, [K]
    sd: FloatArray  # by the noise of runs, octaves, [K]


def own_optima(basins: Basins) -> OwnOptima:
    """The vertex of each fitted scale, by least squares through its lowest cells."""
    x, sd = np.full(len(basins.fitted), np.nan), np.full(len(basins.fitted), np.nan)
    for k in np.flatnonzero(basins.fitted):
        usable = basins.cells.usable[k]
        noise = basins.noise / np.sqrt(basins.cells.count[k, usable])
        x[k], sd[k] = vertex(basins.cells.x[k, usable], basins.cells.loss[k, usable], noise)
    return OwnOptima(x, sd)


def vertex(x: FloatArray, loss: FloatArray, noise: FloatArray) -> tuple[float, float]:
    """Vertex of the parabola through the lowest cell and those near it, and its sd, octaves.

    The nearest neighbours always belong to it. NaN where the lowest cell is an outermost one or nothing
    bends upward.

    Args:
        x: log2 eta of each cell, ascending, shape [cells].
        loss: of each cell, nats, shape [cells].
        noise: sd of each cell's loss, nats, shape [cells].
    """
    best = int(np.argmin(loss))
    if best in (0, len(x) - 1):
        return float("nan"), float("nan")
    near = np.abs(x - x[best]) <= OWN_RUNS.reach
    near[best - 1 : best + 2] = True
    for cells in (np.flatnonzero(near), np.arange(best - 1, best + 2)):
        u = x[cells] - x[best]
        solve = np.linalg.pinv(np.stack([np.ones_like(u), u, u * u], axis=1))  # [3, cells]
        _, slope, bend = solve @ loss[cells]
        if bend > 0:
            at = float(np.clip(-slope / (2 * bend), u[0], u[-1]))
            derivative = slope * solve[2] / (2 * bend**2) - solve[1] / (2 * bend)
            sd = float(np.sqrt(np.sum((derivative * noise[cells]) ** 2)))
            return float(x[best]) + at, min(sd, LARGEST_SD)
    return float("nan"), float("nan")


def with_own_runs(basins: Basins, rng: np.random.Generator) -> Basins:
    """The basins with every optimum moved towards its own runs' vertex, and less certain the further off.

    Scales whose two optima differ by more than both errors allow are flagged `own_runs_differ`.

    Args:
        basins: as fitted with the shared shape.
        rng: source of what the distance adds to the draws.
    """
    own = own_optima(basins)
    trust = 1.0 / (1.0 + (own.sd / OWN_RUNS.noise) ** 2)  # [K]
    away = own.x - basins.x
    known = basins.fitted & np.isfinite(away)
    shift = np.where(known, OWN_RUNS.share * trust * away, 0.0)
    error = np.where(known, OWN_RUNS.error * np.sqrt(trust) * np.abs(away), 0.0)
    noise = error * rng.standard_normal(basins.x_draws.shape)
    spread = np.nanstd(np.where(basins.fitted, basins.x_draws, 0.0), axis=0)
    differs = known & (
        np.abs(away) > CHECKS.own_differs_sd * np.hypot(spread, own.sd) + CHECKS.own_differs_octaves
    )
    flags = [(*f, "own_runs_differ") if d else f for f, d in zip(basins.flags, differs, strict=True)]
    return replace(
        basins,
        x=np.clip(basins.x + shift, basins.low, basins.high),
        x_draws=np.clip(basins.x_draws + shift + noise, basins.low, basins.high),
        apart=np.where(known, away, np.nan),
        flags=tuple(flags),
    )
