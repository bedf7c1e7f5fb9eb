"""How often intervals of a joint optimum and of its predictions hold, on simulated surfaces.

python benchmarks/joint.py --studies 40                  # a random quarter of a 12 x 10 grid at 5 scales
python benchmarks/joint.py --speed                       # 2 hyperparameters x 5 scales x 200 runs
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hptransfer.joint import quantify_joint
from hptransfer.quantify.priors import DEPARTURE
from hptransfer.quantify.result import Estimate
from hptransfer.sweep.table import Columns, SweepTable

Array = NDArray[np.float64]
FAMILIES = ("quadratic", "skewed", "logcosh", "ragged", "cliff", "flat", "varying")
NOISE = 0.003  # nats
SCALES = np.array([256.0, 512.0, 1024.0, 2048.0, 4096.0])
TARGET = 4 * SCALES[-1]


@dataclass(frozen=True)
class Joint:
    """One simulated sweep and its truth."""

    sweep: SweepTable
    x: Array  # log2 of the optima, [K, 2]
    target: Array  # at 4 times the largest scale, [2]
    slopes: Array  # of the laws, [2]


def side(family: str, h: float, rng: np.random.Generator) -> Callable[[Array], Array]:
    """Loss along one direction, of curvature h at 0: none has the form that is fitted."""
    if family == "quadratic":
        return lambda u: 0.5 * h * u * u
    if family == "logcosh":
        k = rng.uniform(0.8, 2.0)
        return lambda u: h * k * k * (np.logaddexp(u / k, -u / k) - np.log(2.0))
    s = rng.uniform(0.1, 0.5)
    return lambda u: h / s**2 * (np.exp(np.clip(s * u, -30, 30)) - s * u - 1)


def departures(kind: str, rng: np.random.Generator) -> Array:
    """What optima at the scales and the target lie off their law by, octaves, [K + 1]."""
    t = np.log2(np.append(SCALES, TARGET))
    if kind == "exact" or rng.random() < DEPARTURE.steady:
        return np.zeros(len(t))
    p = DEPARTURE
    wander = (
        0.0 if rng.random() < p.wander_none else p.wander * np.exp(p.wander_log_sd * rng.standard_normal())
    )
    scatter = (
        0.0 if rng.random() < p.scatter_none else p.scatter * np.exp(p.scatter_log_sd * rng.standard_normal())
    )
    walk = np.concatenate([[0.0], np.cumsum(rng.standard_normal(len(t) - 1) * np.sqrt(np.diff(t)))])
    return np.asarray(wander * walk + scatter * rng.standard_normal(len(t)))


def simulate(
    family: str, kind: str, share: float, rng: np.random.Generator, grid: tuple[int, int] = (12, 10)
) -> Joint:
    """A sweep over lr and batch_size: a random `share` of a grid at every scale."""
    h = np.exp(rng.uniform(np.log(0.02), np.log(0.3), 2))
    if family == "flat":
        h = np.exp(rng.uniform(np.log(0.004), np.log(0.03), 2))
    couple = rng.uniform(-0.2, 0.8)
    along = side(family, h[0], rng), side(family, h[1], rng)
    slopes = np.array([rng.uniform(-0.8, 0.1), rng.uniform(-0.1, 0.6)])
    t = np.log2(np.append(SCALES, TARGET) / SCALES[0])
    x = np.array([-7.0, 6.0]) + rng.uniform(-1, 1, 2) + np.outer(t, slopes)
    x += np.stack([departures(kind, rng), departures(kind, rng)], axis=1)
    wall = rng.uniform(2.0, 4.0)
    rows = []
    for k, n in enumerate(SCALES):
        step = np.array([0.5, 0.5]) if family != "skewed" else np.array([1.0, 1.0])
        middle = np.round((x[k] + rng.uniform(-1.0, 1.0, 2) * step) / step) * step
        lr, batch = (middle[j] + step[j] * (np.arange(grid[j]) - grid[j] // 2) for j in (0, 1))
        points = np.stack(np.meshgrid(lr, batch, indexing="ij"), axis=-1).reshape(-1, 2)
        chosen = rng.permutation(len(points))[: max(int(share * len(points)), 7)]
        u = points[chosen] - x[k]
        vary = np.exp(0.15 * rng.standard_normal(2)) if family == "varying" else np.ones(2)
        ridge = u[:, 0] - couple * u[:, 1]
        loss = 2.0 + 8 * n**-0.3 + vary[0] * along[0](ridge) + vary[1] * along[1](u[:, 1])
        noise = np.full(len(u), NOISE)
        if family == "ragged":
            right = np.maximum(ridge, 0)
            noise = NOISE * (1 + 1.5 * right)
            loss = loss + np.where(
                rng.random(len(u)) < 0.12 * np.minimum(right, 3), rng.exponential(0.05, len(u)) * right, 0
            )
        loss = loss + noise * rng.standard_normal(len(u))
        if family == "cliff":
            loss = np.where(
                ridge > wall, np.where(rng.random(len(u)) < 0.5, np.nan, 6 + rng.random(len(u))), loss
            )
        rows.append(np.column_stack([np.full(len(u), n), np.exp2(points[chosen]), loss]))
    table = np.concatenate(rows)
    sweep = SweepTable(
        variant=np.full(len(table), "a"), scale=table[:, 0], hp=table[:, 1], seed=np.full(len(table), ""),
        loss=table[:, 3], extra={"batch_size": table[:, 2]}, columns=Columns(),
    )  # fmt: skip
    return Joint(sweep, x[:-1], x[-1], slopes)


def held(item: Estimate, x: float) -> float:
    """Whether limits hold log2 x; NaN where there is one only."""
    if item.low is None or item.high is None:
        return float("nan")
    return float(np.log2(item.low) <= x <= np.log2(item.high))


def width(item: Estimate) -> float:
    """Octaves between the limits; NaN where there is one only."""
    return float(np.log2(item.high / item.low)) if item.low and item.high else float("nan")


def measure(study: Joint, found: dict[str, list[float]]) -> None:
    """Adds what one study says of both optima, both predictions and both exponents."""
    fit = quantify_joint(study.sweep, ("lr", "batch_size"), targets=[TARGET], holdout=0)
    variant = fit.variants["a"]
    for j, name in enumerate(fit.hp):
        for k, optimum in enumerate(variant.optima):
            found[f"optimum of {name}"].append(held(optimum.hp[name], study.x[k, j]))
            found[f"width of {name}"].append(width(optimum.hp[name]))
        if name in variant.laws:
            found[f"{name} at 4x"].append(held(variant.predictions[0].hp[name], study.target[j]))
            found[f"width of {name} at 4x"].append(width(variant.predictions[0].hp[name]))


def coverage(studies: int, kind: str, share: float, first: int) -> None:
    """Prints, family by family and together, how often intervals hold, and their median width."""
    every: dict[str, list[float]] = defaultdict(list)
    for place, family in enumerate(FAMILIES):
        found: dict[str, list[float]] = defaultdict(list)
        for i in range(first, first + studies):
            measure(simulate(family, kind, share, np.random.default_rng([i, place])), found)
        for name, values in found.items():
            every[name] += values
        _print(family, found)
    _print("all", every)


def _print(family: str, found: dict[str, list[float]]) -> None:
    cells = (
        f"{name} {np.nanmedian(v):.2f}" if name.startswith("width") else f"{name} {np.nanmean(v):.3f}"
        for name, v in found.items()
    )
    print(f"{family:10s} {' | '.join(cells)}", flush=True)


def speed() -> None:
    """Prints process and wall time of 2 hyperparameters x 5 scales x 200 runs, hold-out and all."""
    for family in ("skewed", "flat"):
        study = simulate(family, "exact", 1.0, np.random.default_rng(0), grid=(20, 10))
        process, wall = time.process_time(), time.perf_counter()
        quantify_joint(study.sweep, ("lr", "batch_size"), targets=[TARGET])
        process, wall = time.process_time() - process, time.perf_counter() - wall
        print(f"{family:10s} {len(study.sweep)} runs: process {process:.2f} s, wall {wall:.2f} s", flush=True)


def main() -> None:
    """Runs what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=20, help="of each family")
    parser.add_argument("--first", type=int, default=0, help="seed of the first")
    parser.add_argument("--share", type=float, default=0.25, help="of the full grid that was run")
    parser.add_argument(
        "--laws", choices=("exact", "real"), default="exact", help="optima on laws, or off as real"
    )
    parser.add_argument("--speed", action="store_true", help="time alone")
    arguments = parser.parse_args()
    if arguments.speed:
        speed()
    else:
        coverage(arguments.studies, arguments.laws, arguments.share, arguments.first)


if __name__ == "__main__":
    main()
