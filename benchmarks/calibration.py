"""Bias, rmse, coverage and width of every estimate on simulated studies, beside common methods.

python benchmarks/calibration.py --studies 40             # the families used to build the estimator
python benchmarks/calibration.py --studies 40 --held-out  # families not used to build it
"""

from __future__ import annotations

import argparse
import os
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from baselines import METHODS, baseline
from hptransfer.fit import quantify
from hptransfer.quantify.basin.cells import cells_of
from hptransfer.quantify.result import Estimate
from simulator import FAMILIES, HELD_OUT, REAL_LIKE, TIED, Study, simulate

QUANTITIES = ("optimum", "drift", "predict 4x", "alpha", "gamma", "kappa", "R_inf")
Row = tuple[float, float, float, float]  # truth, value, low, high


def log2(estimate: Estimate) -> tuple[float, float, float]:
    """An hp estimate in octaves; NaN where it is missing or one-sided."""
    parts = (estimate.value, estimate.low, estimate.high)
    if any(p is None for p in parts):
        return (float("nan"),) * 3
    value, low, high = (float(np.log2(p)) for p in parts if p is not None)
    return value, low, high


def plain(estimate: Estimate) -> tuple[float, float, float]:
    value, low, high = (
        float("nan") if p is None else p for p in (estimate.value, estimate.low, estimate.high)
    )
    return value, low, high


def measure_ours(study: Study, draws: int) -> dict[str, list[Row]]:
    truth = study.truth
    fit = quantify(study.sweep, targets=(truth.target,), reference="a", holdout=0, draws=draws).variants["b"]
    hp = {o.scale: o.hp for o in fit.optima}  # a scale that lost all its cells has none
    inside = zip(truth.x[truth.inside], truth.scale[truth.inside], strict=True)
    out: dict[str, list[Row]] = {"optimum": [(t, *log2(hp[n])) for t, n in inside]}
    m = fit.metrics
    out["drift"] = [(truth.drift, *plain(m["drift"]))]
    out["predict 4x"] = [(truth.x_target, *log2(fit.predictions[0].hp))]
    known = {"alpha": truth.alpha, "gamma": truth.gamma, "kappa": truth.kappa, "R_inf": truth.r_inf}
    for name, value in known.items():
        out[name] = [(value, *plain(m.get(name, Estimate())))]
    return out


def measure_baseline(study: Study, method: str) -> dict[str, list[Row]]:
    truth = study.truth
    cells = next(c for c in cells_of(study.sweep) if c.variant == "b")
    fit = baseline(method, cells, truth.target)
    kept = np.isin(truth.scale, cells.scale)  # a scale that lost all its cells has no optimum
    optima = [
        (float(t), float(v), float(lo), float(hi))
        for t, v, lo, hi, ok in zip(truth.x[kept], fit.x, fit.low, fit.high, truth.inside[kept], strict=True)
        if ok
    ]
    return {
        "optimum": optima,
        "drift": [(truth.drift, *fit.slope)],
        "predict 4x": [(truth.x_target, *fit.prediction)],
    }


def summary(rows: list[Row]) -> str:
    a = np.array(rows)
    known = np.isfinite(a).all(axis=1)
    if not known.any():
        return f"{'-':>8}"
    error = a[known, 1] - a[known, 0]
    held = (a[known, 2] <= a[known, 0]) & (a[known, 0] <= a[known, 3])
    width = np.median(a[known, 3] - a[known, 2])
    return (
        f"n {known.sum():5d}/{len(a):<5d} bias {error.mean():+7.3f}  rmse {np.sqrt(np.mean(error**2)):7.3f}  "
        f"median |e| {np.median(abs(error)):6.3f}  holds {held.mean():5.3f}  median width {width:7.3f}"
    )


def measured(task: tuple[str, int, int, tuple[str, ...]]) -> dict[tuple[str, str, str], list[Row]]:
    """Rows of one study, by quantity, family and method."""
    family, seed, draws, methods = task
    study, out = simulate(family, seed), {}
    for method in methods:
        found = measure_ours(study, draws) if method == "ours" else measure_baseline(study, method)
        out.update({(quantity, family, method): rows for quantity, rows in found.items()})
    return out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=40, help="studies a family")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--held-out", action="store_true", help="only the families held out of development")
    parser.add_argument(
        "--real-like", action="store_true", help="only the families that do what real sweeps do"
    )
    parser.add_argument("--families", default="", help="comma-separated; overrides the default list")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("--ours-only", action="store_true")
    args = parser.parse_args()
    chosen = REAL_LIKE if args.real_like else (*HELD_OUT, *TIED) if args.held_out else FAMILIES
    families = tuple(args.families.split(",")) if args.families else chosen
    methods = ("ours",) if args.ours_only else ("ours", *METHODS)
    table: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    started = time.perf_counter()
    tasks = [
        (family, args.first_seed + i, args.draws, methods) for family in families for i in range(args.studies)
    ]
    with ProcessPoolExecutor(args.jobs) as pool:
        for found in pool.map(measured, tasks, chunksize=4):
            for key, rows in found.items():
                table[key] += rows
    for quantity in QUANTITIES:
        print(f"\n{quantity}")
        for family in (*families, "overall"):
            for method in methods:
                chosen = families if family == "overall" else (family,)
                rows = [r for f in chosen for r in table[quantity, f, method]]
                if rows:
                    print(f"  {family:12s} {method:17s} {summary(rows)}")
    print(f"\n{len(families) * args.studies} studies in {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()
