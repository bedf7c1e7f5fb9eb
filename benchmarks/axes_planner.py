"""The interval at a target over several axes, at equal FLOPs: adaptive planner, random runs, part of a grid.

    python benchmarks/axes_planner.py --studies 3

Every study is a simulated grid over two axes (`axes_simulator`), with one run at every place. The target is
the corner at four times the first axis and eight times the second. At a share of the full grid's FLOPs each
method has the runs that it made first: the adaptive planner those that it asks for, `random` runs drawn from
the whole grid, `cheapest` whole points, the cheapest first, `smaller grid` every second learning rate and the
points that fit the budget, drawn at random. A run costs the product of the axes. All intervals are those of
the estimator over several axes, at 95%; a method without a law yet has none.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from axes_simulator import AxesStudy, simulate_axes
from hptransfer.design.acquisition import propose_runs
from hptransfer.design.grid import CandidateGrid, GridKey, Observations, Proposal
from hptransfer.quantify.axes.basins import points_of
from hptransfer.quantify.axes.model import AxesSettings, find_basis, fit_optimum

SHARES = (0.1, 0.2, 0.4, 0.7, 1.0)  # of the full grid's FLOPs
KINDS = ("grid", "ragged")
DEPARTURES = ("none", "scatter", "walk", "ragged_side", "interaction")
PLAIN = ("random", "cheapest", "smaller grid")
Asks = Iterator[list[Proposal]]


@dataclass(frozen=True)
class Recorded:
    """A grid that was run in full."""

    space: CandidateGrid
    losses: dict[GridKey, dict[int, float]]  # by place; infinite where diverged
    truth: float  # log2 of the optimum at the target

    @property
    def flops(self) -> float:
        """Of the full grid."""
        return sum(float(self.space.cost[k]) * len(places) for (_, k), places in self.losses.items())


def record(study: AxesStudy) -> Recorded:
    """The runs of a simulated study as what a planner may ask for, the cheapest points first."""
    values = np.column_stack([study.sweep.scale, *(study.sweep.extra[a] for a in study.axes[1:])])
    points, number = np.unique(values, axis=0, return_inverse=True)
    order = np.argsort(points.prod(axis=1), kind="stable")
    x, losses = {}, {}
    for k, point in enumerate(order):
        rows = np.flatnonzero(number.ravel() == point)
        rows = rows[np.argsort(study.sweep.hp[rows])]
        loss = np.where(np.isfinite(study.sweep.loss[rows]), study.sweep.loss[rows], math.inf)
        x["all", k] = np.log2(study.sweep.hp[rows])
        losses["all", k] = dict(enumerate(map(float, loss)))
    cost = points[order].prod(axis=1)
    start = {basin: (0, len(places) - 1) for basin, places in x.items()}
    zero = np.zeros(len(order))
    target = tuple(map(float, study.truth.places[-1]))
    space = CandidateGrid(points[order], cost / cost.max(), x, start, 1, zero, target, study.axes)
    return Recorded(space, losses, float(study.truth.x[-1]))


def adaptive(study: Recorded, seen: Observations, batch: int) -> Asks:
    while asks := propose_runs(study.space, seen, "prediction", 0.0, batch):
        yield asks


def everything(study: Recorded, rng: np.random.Generator, most: float, kind: str) -> Asks:
    """Runs in an order that no result decides: `random`, `cheapest` or `smaller grid`, up to a cost."""
    basins = list(study.space.x)
    asks = [Proposal(*basin, place, 0) for basin in basins for place in range(len(study.space.x[basin]))]
    if kind == "random":
        asks = [asks[i] for i in rng.permutation(len(asks))]
    if kind == "smaller grid":
        asks, spent = [], 0.0
        for i in rng.permutation(len(basins)):
            places = range(0, len(study.space.x[basins[i]]), 2)
            if (spent := spent + len(places) * float(study.space.cost[basins[i][1]])) > most:
                break
            asks += [Proposal(*basins[i], place, 0) for place in places]
    for ask in asks:
        yield [ask]


def at_shares(
    study: Recorded, asks: Asks, seen: Observations, shares: tuple[float, ...]
) -> list[Observations]:
    """What was observed at each share of the grid's FLOPs: no run that would go beyond it."""
    out: list[Observations] = []
    spent, done = 0.0, Observations()
    for wanted in asks:
        for ask in wanted:
            cost = float(study.space.cost[ask.scale])
            while len(out) < len(shares) and spent + cost > shares[len(out)] * study.flops * (1 + 1e-9):
                out.append(copied(done))
            if len(out) == len(shares):
                return out
            for each in (seen, done):
                each.add(ask, study.losses[ask.variant, ask.scale][ask.place])
            spent += cost
    return [*out, *[done] * (len(shares) - len(out))]


def copied(seen: Observations) -> Observations:
    return Observations({b: {p: dict(c) for p, c in places.items()} for b, places in seen.losses.items()})


def interval(study: Recorded, seen: Observations) -> tuple[float, float, float]:
    """log2 of the predicted optimum at the target and of its limits; without a law there are none."""
    space, nothing = study.space, (math.nan, -math.inf, math.inf)
    sweep = seen.sweep_table(space)
    if sweep is None:
        return nothing
    values = np.column_stack([sweep.scale, *(sweep.extra[axis] for axis in space.axes[1:])])
    ((points, cells),) = points_of(sweep, values, space.axes)
    if len(points.values) < space.least_scales:
        return nothing
    settings = AxesSettings(space.axes, (), None, 0.95, 0.01, 1000, 0, None, 1.35)
    basis = find_basis(points, cells, settings)
    if not basis.enough or basis.design.tied:
        return nothing
    fit = fit_optimum(basis, space.z_target[None], np.random.default_rng([0, 7, 0])).hp
    low, high = np.quantile(fit.at_draws[:, 0], [0.025, 0.975])
    return float(fit.at[0]), float(low), float(high)


def rows_of(study: Recorded, batch: int, seed: int) -> Iterator[tuple[str, float, float, float, bool]]:
    """Method, share, width, error and whether the interval holds the truth."""
    for method in ("adaptive", *PLAIN):
        each = [(share,) for share in SHARES] if method == "smaller grid" else [SHARES]
        for shares in each:
            seen = Observations()
            rng, most = np.random.default_rng(seed), shares[-1] * study.flops
            plain = method in PLAIN
            asks = everything(study, rng, most, method) if plain else adaptive(study, seen, batch)
            for share, found in zip(shares, at_shares(study, asks, seen, shares), strict=True):
                value, low, high = interval(study, found)
                yield method, share, high - low, abs(value - study.truth), low <= study.truth <= high


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=3, help="of each design and departure")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=4, help="runs a round of the adaptive planner")
    arguments = parser.parse_args()
    rows: list[tuple[object, ...]] = []
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.studies):
        for kind in KINDS:
            for departure in DEPARTURES:
                start = time.process_time()
                study = record(simulate_axes(kind, departure, 2, seed))
                rows += [(kind, departure, *row) for row in rows_of(study, arguments.batch, seed)]
                took = time.process_time() - start
                print(
                    f"{kind} {departure} {seed}: {len(study.space.scales)} points, {took:.0f} s", flush=True
                )
        shown(rows)


def shown(rows: list[tuple[object, ...]]) -> None:
    """Median widths; a method without an interval counts as infinitely wide."""
    table = pd.DataFrame(rows, columns=["design", "departure", "method", "share", "width", "error", "holds"])
    known = table[np.isfinite(table.width)]
    parts = {
        "studies": table.groupby(["share", "method"]).size(),
        "no interval": table.assign(none=~np.isfinite(table.width)).groupby(["share", "method"]).none.sum(),
        "width": table.groupby(["share", "method"]).width.median(),
        "error": known.groupby(["share", "method"]).error.median(),
        "holds": known.groupby(["share", "method"]).holds.mean(),
    }
    print(pd.DataFrame(parts).round(3).to_string(), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
