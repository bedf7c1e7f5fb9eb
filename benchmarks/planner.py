"""FLOPs to reach the full grid's interval on the prediction: adaptive planner, random search, Optuna.

    python benchmarks/planner.py --studies 5                       # simulated studies a family
    python benchmarks/planner.py --studies 0 --data ../shared/data/sweeps --study runs/demo/runs.csv

Every study is a recorded grid (simulated ones also hold further seeds of every run, which all methods may
use). The goal is the full grid's interval for the optimum at four times its largest scale; each method adds
runs until its own interval is as narrow, or its FLOPs are twice the grid's. The adaptive planner stops by its
own rule, as in a study. A run's FLOPs are the table's, else scale^2 (fixed steps). All intervals are
`quantify`'s, on the runs that the method chose. Random search and Optuna's samplers search for the lowest
loss, one run at every scale in turn, as in tuning a model. `--within 0.05` counts an interval as narrow that
is up to 5% wider: a width has a standard deviation of 3% over the seeds of its draws.
`holds`: the final interval contains the true optimum (simulated), or the full grid's (recorded).
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hptransfer.design.acquisition import propose_runs
from hptransfer.design.grid import CandidateGrid, GridKey, Observations, Proposal
from hptransfer.errors import MissingExtraError
from hptransfer.fit import quantify
from hptransfer.sweep.table import SweepTable
from simulator import FAMILIES, simulate

MOST = 2.0  # times the full grid's FLOPs at which a method is ended
METHODS = ("adaptive", "random", "tpe", "gp")
Asks = Iterator[list[Proposal]]


@dataclass(frozen=True)
class Recorded:
    """A grid that was run, and what a planner may ask of it."""

    name: str
    space: CandidateGrid
    losses: dict[GridKey, dict[int, list[float]]]  # by place, one a seed; infinite where diverged
    grid: SweepTable  # the full grid
    flops: float  # of it
    truth: float | None  # log2 of the optimum at the target; None where nobody knows


@dataclass(frozen=True)
class Reached:
    """Where a method ended."""

    share: float  # of the full grid's FLOPs
    width: float  # octaves, of its interval
    error: float  # octaves, of its prediction
    holds: bool
    there: bool  # whether its interval is as narrow as the full grid's


def record(
    name: str, grid: SweepTable, spare: SweepTable | None, truth: float | None, target: float
) -> Recorded:
    """One variant's grid, with spare seeds of its runs."""
    tables = [grid] if spare is None else [grid, spare]
    scales = np.unique(grid.scale)
    x, losses = {}, {}
    for k, n in enumerate(scales):
        rows = [
            (np.log2(h), y)
            for t in tables
            for h, y in zip(t.hp[t.scale == n], t.loss[t.scale == n], strict=True)
        ]
        x[name, k] = np.unique(np.round([r[0] for r in rows], 6))
        losses[name, k] = {
            p: [float(y) if np.isfinite(y) else math.inf for at, y in rows if abs(at - here) < 1e-5]
            for p, here in enumerate(x[name, k])
        }
    cost = scales**2
    if "flops" in grid.extra:
        cost = np.array([np.median(grid.extra["flops"][grid.scale == n]) for n in scales])
    seeds = max(len(c) for places in losses.values() for c in places.values())
    start = {basin: (0, len(places) - 1) for basin, places in x.items()}
    space = CandidateGrid(scales, cost / cost.max(), x, start, seeds, np.zeros(len(scales)), target)
    flops = float(sum(space.cost[np.searchsorted(scales, grid.scale)]))
    return Recorded(name, space, losses, grid, flops, truth)


def simulated(studies: int, first: int, families: tuple[str, ...]) -> Iterator[Recorded]:
    for family in families:
        for seed in range(first, first + studies):
            study = simulate(family, seed, spare=5)
            assert study.spare is not None
            one, more = (t.take(t.variant == "a") for t in (study.sweep, study.spare))
            yield record(f"{family} {seed}", one, more, study.truth.x_target, study.truth.target)


def tables(folder: Path | None, studies: list[Path]) -> Iterator[Recorded]:
    """Recorded sweeps over widths with three widths or more, and studies of ours by variant."""
    from hptransfer.sweep import read
    from learn import sweep_of
    from real_series import public_series

    for series in public_series(folder) if folder else ():
        if "tokens" not in series.project:
            name, sweep = f"{series.project} {series.name}", sweep_of(series.runs)
            yield record(name, sweep, None, None, 4 * float(sweep.scales[-1]))
    for path in studies:
        sweep = read(path)
        for variant in sweep.variants:
            one = sweep.select(variant)
            yield record(f"{path.parent.name} {variant}", one, None, None, 4 * float(one.scales[-1]))


def predict(sweep: SweepTable | None, target: float) -> tuple[float, float, float]:
    """log2 of the predicted optimum and of its limits; a prediction that cannot be made has none."""
    if sweep is None:
        return math.nan, -math.inf, math.inf
    hp = next(iter(quantify(sweep, targets=(target,), holdout=0).variants.values())).predictions[0].hp
    if hp.value is None or hp.low is None or hp.high is None:
        return math.nan, -math.inf, math.inf
    return math.log2(hp.value), math.log2(hp.low), math.log2(hp.high)


def adaptive(study: Recorded, seen: Observations, goal: float, batch: int) -> Asks:
    while asks := propose_runs(study.space, seen, "prediction", goal, batch):
        yield asks


def random(study: Recorded, seen: Observations, rng: np.random.Generator) -> Asks:
    """One run at every scale, anywhere on its grid, seeds in turn."""
    while True:
        asks = []
        for basin, x in study.space.x.items():
            free = [p for p in range(len(x)) if seen.count(basin, p) < len(study.losses[basin][p])]
            if free:
                place = int(rng.choice(free))
                asks.append(Proposal(*basin, place, seen.count(basin, place)))
        if not asks:
            return
        yield asks


def optuna(study: Recorded, seen: Observations, sampler: Callable[[int], Any]) -> Asks:
    """One run at every scale, where the sampler of that scale's own search wants it."""
    from optuna import create_study

    searches = {b: create_study(sampler=sampler(b[1])) for b in study.space.x}
    worst = 1.0 + max(y for b in study.losses.values() for c in b.values() for y in c if math.isfinite(y))
    while True:
        asks, trials = [], []
        for basin, search in searches.items():
            for _ in range(20):  # where every seed of a place is spent, it is told what was found there
                trial = search.ask()
                place = trial.suggest_int("place", 0, len(study.space.x[basin]) - 1)
                rank = seen.count(basin, place)
                if rank < len(study.losses[basin][place]):
                    asks.append(Proposal(*basin, place, rank))
                    trials.append((search, trial))
                    break
                search.tell(trial, min(seen.mean_losses(basin)[place], worst))
        if not asks:
            return
        yield asks
        for ask, (search, trial) in zip(asks, trials, strict=True):
            search.tell(trial, min(study.losses[ask.variant, ask.scale][ask.place][ask.seed], worst))


def samplers() -> dict[str, Callable[[int], Any]]:
    import warnings

    try:
        import optuna
    except ImportError:
        raise MissingExtraError("dev", "comparing with Optuna") from None
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return {
        "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed),
        "gp": lambda seed: optuna.samplers.GPSampler(seed=seed),
    }


def replay(
    study: Recorded,
    asks: Asks,
    seen: Observations,
    goal: float,
    aim: float,
    most: float,
    *,
    alone: bool = False,
) -> Reached:
    """Answers a method's asks from the record until its interval is as narrow as the goal.

    Arguments:
        study: the record.
        asks: of the method; it sees the answers in `seen`.
        seen: filled here.
        goal: width to reach, octaves.
        aim: log2 of the optimum at the target, to judge by.
        most: share of the grid's FLOPs to end at.
        alone: whether the method ends by itself.
    """
    spent, value, low, high = 0.0, math.nan, -math.inf, math.inf
    for wanted in asks:
        for ask in wanted:
            answers = study.losses[ask.variant, ask.scale][ask.place]
            seen.add(ask, answers[min(ask.seed, len(answers) - 1)])
            spent += float(study.space.cost[ask.scale])
        value, low, high = predict(seen.sweep_table(study.space), study.space.target)
        if (high - low <= goal and not alone) or spent >= most * study.flops:
            break
    return Reached(spent / study.flops, high - low, value - aim, low <= aim <= high, high - low <= goal)


def run(study: Recorded, methods: tuple[str, ...], batch: int, within: float) -> dict[str, Reached] | None:
    """Every method on one study; None where the full grid itself predicts nothing."""
    value, low, high = predict(study.grid, study.space.target)
    if not math.isfinite(high - low):
        return None
    aim = value if study.truth is None else study.truth
    goal = (1.0 + within) * (high - low)
    out = {"grid": Reached(1.0, high - low, value - aim, low <= aim <= high, True)}
    makers: dict[str, Callable[[Observations], Asks]] = {
        "adaptive": lambda seen: adaptive(study, seen, goal, batch),
        "random": lambda seen: random(study, seen, np.random.default_rng(0)),
    }
    for name, sampler in samplers().items() if {"tpe", "gp"} & set(methods) else ():
        makers[name] = lambda seen, sampler=sampler: optuna(study, seen, sampler)  # type: ignore[misc]
    for method in methods:
        seen = Observations()
        alone = method == "adaptive"
        out[method] = replay(study, makers[method](seen), seen, goal, aim, MOST, alone=alone)
        if method != "adaptive" and "adaptive" in out:  # the same again on the adaptive planner's budget
            seen = Observations()
            out[f"{method} at its budget"] = replay(
                study, makers[method](seen), seen, 0.0, aim, out["adaptive"].share
            )
    return out


def summary(method: str, rows: list[Reached]) -> str:
    share = np.array([r.share if r.there else math.inf for r in rows])
    error = np.array([r.error for r in rows])
    known = np.isfinite(error)
    rmse = float(np.sqrt(np.mean(error[known] ** 2))) if known.any() else math.nan
    there = sum(r.there for r in rows)
    low, middle, high = (float(np.quantile(share, q, method="lower")) for q in (0.25, 0.5, 0.75))
    flops = f"FLOPs {middle:.2f} of the grid's ({low:.2f} to {high:.2f})  as narrow {there:3d}/{len(rows)}"
    width = np.median([r.width for r in rows])
    return (
        f"{method:22s} {'' if 'budget' in method else flops:58s}  width {width:.3f}  "
        f"median |error| {np.median(abs(error[known])):.3f}  rmse {rmse:.3f}  "
        f"holds {np.mean([r.holds for r in rows]):.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=5, help="simulated studies a family")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--families", default=",".join(f for f in FAMILIES if f != "edges"))
    parser.add_argument("--data", type=Path, default=None, help="folder of recorded sweeps")
    parser.add_argument("--study", type=Path, action="append", default=[], help="runs.csv of a study")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--batch", type=int, default=1, help="runs a round of the adaptive planner")
    parser.add_argument("--within", type=float, default=0.0, help="share by which a width may be wider")
    args = parser.parse_args()
    methods = tuple(args.methods.split(","))
    groups = {
        "simulated": simulated(args.studies, args.first_seed, tuple(args.families.split(","))),
        "recorded": tables(args.data, args.study),
    }
    started = time.perf_counter()
    for group, studies in groups.items():
        found: dict[str, list[Reached]] = {}
        for study in studies:
            reached = run(study, methods, args.batch, args.within)
            if reached is None:
                print(f"{study.name:44s} the full grid predicts nothing", flush=True)
                continue
            for method, row in reached.items():
                found.setdefault(method, []).append(row)
            shown = "  ".join(f"{m} {reached[m].share:.2f}{'' if reached[m].there else '!'}" for m in methods)
            print(f"{study.name:44s} width {reached['grid'].width:.3f}  FLOPs: {shown}", flush=True)
        if found:
            print(f"\n{group}: {len(found['grid'])} studies")
            print(
                "\n".join(f"  {summary(method, rows)}" for method, rows in found.items()) + "\n", flush=True
            )
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
