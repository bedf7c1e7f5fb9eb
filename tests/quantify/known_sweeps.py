"""SweepTable with a known truth, built directly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hptransfer.sweep.table import SweepTable

WIDTHS = (64.0, 128.0, 256.0, 512.0)


def parabola(u: np.ndarray) -> np.ndarray:
    return 0.5 * 0.08 * u**2


def make(
    *,
    variant: str = "v",
    widths: tuple[float, ...] = WIDTHS,
    drift: float = -0.5,
    x0: float = -8.3,
    loss: tuple[float, float, float] = (3.0, 1.0, 0.5),
    grid: np.ndarray | None = None,
    noise: float = 0.0,
    seeds: int = 1,
    shape: Callable[[np.ndarray], np.ndarray] = parabola,
    seed: int = 0,
) -> SweepTable:
    """L = L_inf + A (n / n0)**-alpha + shape(x - x*), x* = x0 + drift log2(n / n0), plus noise."""
    rng = np.random.default_rng(seed)
    x_grid = np.arange(-13.0, -3.0) if grid is None else grid
    rows = []
    for n in widths:
        star = x0 + drift * np.log2(n / widths[0])
        level = loss[0] + loss[1] * (n / widths[0]) ** -loss[2]
        for s in range(seeds):
            value = level + shape(x_grid - star) + noise * rng.standard_normal(len(x_grid))
            rows += [(variant, n, 2.0**x, str(s), y) for x, y in zip(x_grid, value, strict=True)]
    return from_rows(rows)


def from_rows(rows: list[tuple[str, float, float, str, float]]) -> SweepTable:
    variant, scale, hp, seed, loss = zip(*rows, strict=True)
    return SweepTable(
        np.array(variant), np.array(scale, float), np.array(hp, float), np.array(seed), np.array(loss, float)
    )


def join(*parts: SweepTable) -> SweepTable:
    columns = ("variant", "scale", "hp", "seed", "loss")
    return SweepTable(*(np.concatenate([getattr(p, c) for p in parts]) for c in columns))
