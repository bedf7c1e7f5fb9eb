"""Sweeps over two or three hyperparameters with a known truth, for tests of joint fits."""

import numpy as np

from hptransfer.quantify.joint.surface import Surface, bump_count, pairs
from hptransfer.sweep.table import SweepTable

SCALES = (128.0, 256.0, 512.0, 1024.0)


def grid(*lines):
    """Every combination of some values, [points, hyperparameters]."""
    return np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, len(lines))


def tilted(u, v, couple=0.5, skew=0.3):
    """A basin with its cliff along the ridge of both, of curvatures 0.1 and 0.05."""
    ridge = u - couple * v
    return 0.1 / skew**2 * (np.exp(skew * ridge) - skew * ridge - 1) + 0.025 * v * v


def optima(scales=SCALES, start=(-7.0, 6.0), slopes=(-0.4, 0.5)):
    """log2 of the optima, [K, 2]."""
    t = np.log2(np.array(scales) / scales[0])
    return np.array(start) + np.outer(t, slopes)


def two_hps(scales=SCALES, noise=0.002, share=1.0, seed=0, basin=tilted, extra=None):
    """A sweep over lr and batch_size on exact power laws."""
    rng = np.random.default_rng(seed)
    rows = []
    for n, (x, y) in zip(scales, optima(scales), strict=True):
        points = grid(np.round(x) + np.arange(-4, 4), np.round(y) + np.arange(-3, 4))
        points = points[rng.random(len(points)) < share]
        loss = 2 + 8 * n**-0.3 + basin(points[:, 0] - x, points[:, 1] - y)
        loss = loss + noise * rng.standard_normal(len(points))
        rows.append(np.column_stack([np.full(len(points), n), np.exp2(points), loss]))
    table = np.concatenate(rows)
    return SweepTable(
        variant=np.full(len(table), "a"),
        scale=table[:, 0],
        hp=table[:, 1],
        seed=np.full(len(table), ""),
        loss=table[:, 3],
        extra={"batch_size": table[:, 2], "tokens": 20 * table[:, 0], **(extra or {})},
        hps=("lr", "batch_size"),
    )


def decayed(zero=True, seed=0, least=-6.0):
    """A sweep over lr and weight_decay whose loss levels off as the decay goes to 0."""
    rng = np.random.default_rng(seed)
    decays = np.array(([0.0] if zero else []) + [2.0**k for k in np.arange(least, 1)])
    rows = []
    for k, n in enumerate(SCALES):
        points = grid(2.0 ** np.arange(-11, -4.0), decays)
        u, v = np.log2(points[:, 0]) + 8 + 0.3 * k, np.log2(np.maximum(points[:, 1], 2.0**-12)) + 3 - 0.2 * k
        v = np.where(v < -3, -3 + 0.1 * (v + 3), v)
        loss = 2 + 8 * n**-0.3 + 0.05 * u * u + 0.02 * v * v + 0.002 * rng.standard_normal(len(u))
        rows.append(np.column_stack([np.full(len(u), n), points, loss]))
    table = np.concatenate(rows)
    return SweepTable(
        variant=np.full(len(table), "a"),
        scale=table[:, 0],
        hp=table[:, 1],
        seed=np.full(len(table), ""),
        loss=table[:, 3],
        extra={"weight_decay": table[:, 2]},
        hps=("lr", "weight_decay"),
    )


def surface(d=2, seed=0, bump=0.05):
    """A shape of d hyperparameters."""
    rng = np.random.default_rng(seed)
    return Surface(
        c=rng.uniform(-4, -1, d),
        b=rng.uniform(-0.8, 0.8, len(pairs(d))),
        skew=rng.uniform(-0.2, 0.2, d),
        tilt=rng.uniform(-0.1, 0.3, d),
        bend=rng.uniform(-0.2, 0.4, d),
        bump=bump * rng.standard_normal(bump_count(d)),
    )
