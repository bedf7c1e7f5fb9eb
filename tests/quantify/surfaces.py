"""Sweeps over several axes on an exact law, for the tests of several axes."""

from __future__ import annotations

import numpy as np

from hptransfer.sweep.table import Columns, SweepTable

SLOPES = {"params": -0.6, "tokens": 0.25, "depth": -0.3}
START = {"params": 1e8, "tokens": 2e9, "depth": 4.0}
LEVEL = -8.0


def optimum(octaves: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """log2 eta* at places [P, A], octaves from the smallest value of each axis."""
    return LEVEL + octaves @ np.array([SLOPES[name] for name in names])


def sweep_of(
    octaves: np.ndarray,
    names: tuple[str, ...] = ("params", "tokens"),
    *,
    noise: float = 0.001,
    off: np.ndarray | None = None,
    variants: tuple[str, ...] = ("all",),
) -> SweepTable:
    """Nine LRs half an octave apart at each point [K, A]; the optimum off its plane by `off` [K]."""
    rng = np.random.default_rng(0)
    centres = optimum(octaves, names) + (0.0 if off is None else off)
    rows = []
    for shift, variant in enumerate(variants):
        for t, centre in zip(octaves, centres, strict=True):
            for step in range(-5, 6):
                x = np.round(centre * 2) / 2 + 0.5 * step + 0.17
                loss = 2.0 + 0.05 * shift + 0.6 * 2.0 ** (-0.3 * t[0]) + 0.4 * 2.0 ** (-0.4 * t[1])
                loss += 0.06 * (x - centre) ** 2 + noise * rng.standard_normal()
                rows.append(
                    (variant, *(START[n] * 2.0**o for n, o in zip(names, t, strict=True)), 2.0**x, loss)
                )
    columns = list(zip(*rows, strict=True))
    values = {name: np.array(column, float) for name, column in zip(names, columns[1:-2], strict=True)}
    first, *others = names
    return SweepTable(
        np.array(columns[0]), values[first], np.array(columns[-2]), np.full(len(rows), ""),
        np.array(columns[-1]),
        extra={name: values[name] for name in others}, axes=names, columns=Columns(scale=first),
    )  # fmt: skip


def grid(*levels: tuple[float, ...]) -> np.ndarray:
    """Octaves at all combinations, [K, A]."""
    return np.stack(np.meshgrid(*map(np.array, levels), indexing="ij"), axis=-1).reshape(-1, len(levels))


FOUR = grid((0.0, 1.0, 2.0, 3.0), (0.0, 1.0, 2.0))

HP_SLOPES = {"lr": {"params": -0.6, "tokens": 0.25}, "batch_size": {"params": 0.0, "tokens": 0.5}}
HP_LEVELS = {"lr": -8.0, "batch_size": 6.0}
RIDGE = 0.5  # octaves by which the best lr moves per octave of batch_size


def hp_optimum(octaves: np.ndarray, hp: str) -> np.ndarray:
    """log2 of the optimum of one of two hyperparameters at places [P, 2] of parameters and tokens."""
    return HP_LEVELS[hp] + octaves @ np.array(list(HP_SLOPES[hp].values()))


def joint_sweep(
    octaves: np.ndarray, *, share: float = 0.6, noise: float = 0.001, variants: tuple[str, ...] = ("all",)
) -> SweepTable:
    """A share of 7 by 7 learning rates and batch sizes at each point [K, 2] of parameters and tokens."""
    rng = np.random.default_rng(1)
    rows = []
    for variant in variants:
        for t in octaves:
            centre = np.array([hp_optimum(t[None], hp)[0] for hp in HP_SLOPES])
            points = grid(*(np.round(c) + np.arange(-3.0, 4.0) for c in centre))
            points = points[rng.random(len(points)) < share]
            u, v = (points - centre).T
            loss = 2.0 + 0.6 * 2.0 ** (-0.3 * t[0]) + 0.4 * 2.0 ** (-0.4 * t[1])
            loss = loss + 0.05 * (u - RIDGE * v) ** 2 + 0.03 * v * v + noise * rng.standard_normal(len(u))
            size, tokens = START["params"] * 2.0 ** t[0], START["tokens"] * 2.0 ** t[1]
            rows += [(variant, size, tokens, *np.exp2(p), x) for p, x in zip(points, loss, strict=True)]
    name, size, tokens, lr, batch, loss = (np.array(column) for column in zip(*rows, strict=True))
    return SweepTable(
        name, size, lr, np.full(len(rows), ""), loss, extra={"tokens": tokens, "batch_size": batch},
        axes=("params", "tokens"), hps=("lr", "batch_size"), columns=Columns(scale="params"),
    )  # fmt: skip
