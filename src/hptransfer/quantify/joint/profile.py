"""Profiles, slices and contours of a joint basin: the loss along one or two of its hyperparameters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hptransfer.quantify.joint.surface import Surface
from hptransfer.sweep.table import FloatArray

REACH, POINTS, ZOOMS = 8.0, 9, 4  # octaves either side that the others are looked for in, and how finely
ANGLES, STEPS = 73, 26  # of a contour


def profiled(surface: Surface, fixed: Sequence[int], u: FloatArray) -> FloatArray:
    """Loss above the optimum's with some coordinates fixed and the others at their best, nats.

    Args:
        surface: one shape.
        fixed: indices of the fixed coordinates.
        u: of them, octaves from the optimum, shape [M, len(fixed)].

    Returns:
        Shape [M].
    """
    d = surface.c.shape[-1]
    others = [j for j in range(d) if j not in fixed]
    full = np.zeros((len(u), d))
    full[:, list(fixed)] = u
    if not others:
        return surface.excess(full)
    reach = REACH
    best = np.full(len(u), np.inf)
    for _ in range(ZOOMS):
        line = np.linspace(-reach, reach, POINTS)
        steps = np.stack(np.meshgrid(*[line] * len(others), indexing="ij"), axis=-1).reshape(-1, len(others))
        tried = np.repeat(full[:, None], len(steps), axis=1)  # [M, steps, d]
        tried[..., others] += steps
        loss = surface.excess(tried)
        lowest = np.argmin(loss, axis=1)
        full, best = tried[np.arange(len(u)), lowest], loss[np.arange(len(u)), lowest]
        reach *= 2.0 / (POINTS - 1)
    return best


def sliced(surface: Surface, j: int, u: FloatArray) -> FloatArray:
    """Loss above the optimum's along coordinate j, at u [M] octaves, the others at the optimum; [M]."""
    full = np.zeros((len(u), surface.c.shape[-1]))
    full[:, j] = u
    return surface.excess(full)


def contour(surface: Surface, pair: tuple[int, int], rise: float) -> FloatArray:
    """Where the loss is `rise` above the optimum's, octaves from it, the rest at their best; [ANGLES, 2].

    Directions are those in which the curvature's contour is a circle, so that points are evenly spread. A
    direction in which the loss stays below within reach ends there.
    """
    inverse = np.linalg.inv(surface.curvature())[np.ix_(pair, pair)]
    angle = np.linspace(0.0, 2.0 * np.pi, ANGLES)
    unit = np.stack([np.cos(angle), np.sin(angle)], axis=-1) @ np.linalg.cholesky(inverse).T
    unit *= np.sqrt(2.0 * rise)
    low = np.zeros(ANGLES)
    high = np.minimum(4.0, 10.0 / np.maximum(np.abs(unit).max(axis=1), 1e-9))
    for _ in range(STEPS):
        middle = 0.5 * (low + high)
        below = profiled(surface, pair, unit * middle[:, None]) < rise
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.asarray(unit * low[:, None])
