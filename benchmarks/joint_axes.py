"""How often intervals of two hyperparameters over two axes hold, on simulated surfaces of known laws.

    python benchmarks/joint_axes.py --studies 2

Grids, stars, ragged designs and bands of parameters and tokens, a random quarter of a 12 by 10 grid of
learning rates and batch sizes at each point, optima on planes (even seeds) or scattered about them. Asked:
both optima at every point, the exponents of both, the predictions at 4x each axis and at a corner 4x by 8x.
"""

from __future__ import annotations

import argparse
from collections import defaultdict

import numpy as np

from axes_simulator import DESIGNS, design
from hptransfer.joint import quantify_joint
from hptransfer.sweep.table import Columns, SweepTable
from joint import NOISE, Array, held, side, width

FAMILIES = ("quadratic", "skewed", "logcosh")
HPS, AXES = ("lr", "batch_size"), ("params", "tokens")
START, SHARE, GRID = np.array([1e8, 2e9]), 0.25, (12, 10)
AHEAD = np.array([[2.0, 0.0], [0.0, 2.0], [2.0, 3.0]])  # octaves beyond the largest of each axis


def simulate(kind: str, family: str, scatter: float, seed: int) -> tuple[SweepTable, Array, Array, Array]:
    """A sweep; its optima at the points [K, 2], slopes [axes, hyperparameters], optima ahead [3, 2]."""
    rng = np.random.default_rng([seed, sum(map(ord, kind + family))])
    t = design(kind, 2, rng)
    slopes = np.array([[rng.uniform(-0.9, 0.1), rng.uniform(-0.2, 0.2)],
                       [rng.uniform(-0.2, 0.4), rng.uniform(0.2, 0.7)]])  # fmt: skip
    every = np.vstack([t, t.max(axis=0) + AHEAD])
    x = np.array([-7.0, 6.0]) + every @ slopes + scatter * rng.standard_normal((len(every), 2))
    h, couple = np.exp(rng.uniform(np.log(0.02), np.log(0.3), 2)), rng.uniform(-0.2, 0.8)
    along = side(family, h[0], rng), side(family, h[1], rng)
    rows = []
    for place, best in zip(t, x, strict=False):
        middle = np.round(2 * (best + rng.uniform(-0.5, 0.5, 2))) / 2
        lines = (middle[j] + 0.5 * (np.arange(GRID[j]) - GRID[j] // 2) for j in (0, 1))
        points = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, 2)
        points = points[rng.permutation(len(points))[: int(SHARE * len(points))]]
        u, v = (points - best).T
        loss = 2 + 0.6 * 2.0 ** (-0.3 * place[0]) + 0.4 * 2.0 ** (-0.4 * place[1])
        loss = loss + along[0](u - couple * v) + along[1](v) + NOISE * rng.standard_normal(len(u))
        at = np.tile(START * np.exp2(place), (len(u), 1))
        rows.append(np.column_stack([at, np.exp2(points), loss]))
    table = np.concatenate(rows)
    sweep = SweepTable(
        np.full(len(table), "a"), table[:, 0], table[:, 2], np.full(len(table), ""), table[:, 4],
        extra={"tokens": table[:, 1], "batch_size": table[:, 3]}, columns=Columns(scale="params"),
        axes=AXES, hps=HPS,
    )  # fmt: skip
    order = np.lexsort((t[:, 1], t[:, 0]))
    return sweep, x[: len(t)][order], slopes, x[len(t) :]


def measure(kind: str, family: str, scatter: float, seed: int, found: dict[str, list[float]]) -> None:
    """Adds what one study says."""
    sweep, x, slopes, ahead = simulate(kind, family, scatter, seed)
    ends = np.array([sweep.scale.max(), sweep.extra["tokens"].max()])
    targets = [dict(zip(AXES, map(float, ends * np.exp2(step)), strict=True)) for step in AHEAD]
    variant = quantify_joint(sweep, targets=targets, draws=400).variants["a"]
    for j, hp in enumerate(HPS):
        for k, optimum in enumerate(variant.optima):
            found[f"optimum of {hp}"].append(held(optimum.hp[hp], x[k, j]))
        for i, law in enumerate(variant.laws[hp].axes[:2]):
            e = law.drift
            found[f"exponents of {hp}"].append(float(e.low <= slopes[i, j] <= e.high))
        for p, truth in zip(variant.predictions, ahead, strict=True):
            found[f"{hp} ahead"].append(held(p.hp[hp], truth[j]))
            found[f"width of {hp} ahead"].append(width(p.hp[hp]))


def main() -> None:
    """Prints how often intervals hold, after every study of each design and family."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=2, help="of each design and family")
    arguments = parser.parse_args()
    found: dict[str, list[float]] = defaultdict(list)
    for seed in range(arguments.studies):
        for kind in DESIGNS:
            for family in FAMILIES:
                measure(kind, family, 0.1 * (seed % 2), seed, found)
            for name, v in found.items():
                middle = np.nanmedian(v) if name.startswith("width") else np.nanmean(v)
                print(f"{name} {middle:.3f} ({len(v)})", end=" | ", flush=True)
            print()


if __name__ == "__main__":
    main()
