"""Leaves out the largest scale of every measured sweep, predicts its optimum, compares with what was found.

    python benchmarks/extrapolation.py [--data ../shared/data/sweeps] [--every]

`--every` also shortens each series, down to 3 scales to fit. "Found" is the optimum at the scale left out by
a separate method, the 3-point parabola of its lowest cells, so that no method is compared with its own fit;
the error of our prediction against our own fit of that scale is printed beside it. A scale whose lowest cell
is on the edge of its grid has no optimum to compare with and is skipped.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from baselines import METHODS, baseline
from hptransfer.fit import quantify
from hptransfer.quantify.basin.cells import Cells, cells_of
from hptransfer.sweep.table import SweepTable


def series(folder: Path) -> dict[str, SweepTable]:
    """Every (variant, budget) of every file that has a scale axis, by name."""
    out: dict[str, SweepTable] = {}
    for path in sorted(folder.glob("*.csv")):
        table = pd.read_csv(path)
        scale = "width" if table["width"].nunique() > 1 else "tokens"
        keys = ["source", "variant", *(c for c in ("epoch", "weight_decay") if c in table)]
        keys = [k for k in keys if table[k].nunique(dropna=False) > 1]
        for key, part in table.groupby(keys or ["variant"], dropna=False):
            name = f"{path.stem[:14]}/" + "/".join(str(k)[-14:] for k in key)
            out[name] = SweepTable(
                np.array(["v"] * len(part)),
                part[scale].to_numpy(float),
                part["lr"].to_numpy(float),
                np.array(["0"] * len(part)),
                part["loss"].to_numpy(float),
            )
    return out


def upto(sweep: SweepTable, top: float) -> SweepTable:
    keep = sweep.scale <= top
    return SweepTable(*(getattr(sweep, c)[keep] for c in ("variant", "scale", "hp", "seed", "loss")))


def regret(cells: Cells, k: int, x: float) -> float:
    """Loss given up at scale k by log2 eta = x, read off the runs; NaN outside their range."""
    usable = cells.usable[k]
    grid, loss = cells.x[k, usable], cells.loss[k, usable]
    return float(np.interp(x, grid, loss) - loss.min()) if grid[0] <= x <= grid[-1] else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data" / "sweeps")
    parser.add_argument("--every", action="store_true")
    args = parser.parse_args()
    methods = ("ours", *METHODS)
    errors: dict[str, list[tuple[float, float, float, float]]] = {m: [] for m in methods}
    own_errors = []
    for name, sweep in series(args.data).items():
        scales = np.unique(sweep.scale)
        for held in range(len(scales) - 1, 2, -1):
            cells = next(iter(cells_of(upto(sweep, scales[held]))))
            found = baseline("3-point parabola", cells, scales[held]).x[held]
            if not np.isfinite(found):
                print(f"{name:44s} to {scales[held]:<10g} no optimum inside the grid at the largest scale")
                continue
            learned = next(iter(cells_of(upto(sweep, scales[held - 1]))))
            row = f"{name:44s} to {scales[held]:<10g} found {found:7.2f}"
            for method in methods:
                if method == "ours":
                    fit = quantify(upto(sweep, scales[held - 1]), targets=(scales[held],), holdout=0)
                    hp = fit.variants["v"].predictions[0].hp
                    p = tuple(float(np.log2(h)) if h else float("nan") for h in (hp.value, hp.low, hp.high))
                    full = quantify(upto(sweep, scales[held]), holdout=0).variants["v"].optima[held].hp
                    own_errors.append(p[0] - np.log2(full.value) if full.value else np.nan)
                else:
                    p = baseline(method, learned, scales[held]).prediction
                inside = 1.0 if p[1] <= found <= p[2] else 0.0
                errors[method].append((p[0] - found, p[2] - p[1], inside, regret(cells, held, p[0])))
                row += f" | {p[0] - found:+6.2f} ({p[2] - p[1]:5.2f}{' ' if inside else '!'})"
            print(row)
            if not args.every:
                break
    print()
    for method, rows in errors.items():
        a = np.array(rows)
        known = np.isfinite(a[:, 0])
        e = np.abs(a[known, 0])
        print(
            f"{method:17s} {known.sum()}/{len(a)}  median |error| {np.median(e):.3f}  max {e.max():.3f}  "
            f"holds {a[known, 2].mean():.2f}  median width {np.median(a[known, 1]):.2f}  "
            f"max width {a[known, 1].max():.2f}  regret: median {np.nanmedian(a[known, 3]):.4f}, "
            f"max {np.nanmax(a[known, 3]):.4f} nats"
        )
    own = np.abs(np.array(own_errors))
    print(
        "ours against our own fit of the scale left out: "
        f"median {np.nanmedian(own):.3f}, max {np.nanmax(own):.3f}"
    )


if __name__ == "__main__":
    main()
