"""How long the fit takes, and how long the same resampling takes with a loop of scipy's `curve_fit`.

python benchmarks/speed.py            # add --many for 10,000 variants
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import curve_fit

from hptransfer.fit import quantify
from hptransfer.sweep.table import SweepTable

Array = NDArray[np.float64]
LOOP_RESAMPLES = 20  # the loop is timed on these and scaled up


def sweep_table(variants: int, scales: int, rates: int, seeds: int) -> SweepTable:
    """Skewed basins on power laws with noise, one variant after another."""
    rng = np.random.default_rng(0)
    n = 32.0 * 2.0 ** np.arange(scales)
    v, k, i, s = (a.ravel() for a in np.indices((variants, scales, rates, seeds)))
    star = rng.uniform(-9, -7, variants)[v] + rng.uniform(-1, 0, variants)[v] * k * 0.4
    x = np.round(-8.4 - rates / 2) + i
    u = x - star
    loss = 2.5 + 0.8 * (n[k] / 32) ** -0.5 + 0.3 * (np.exp(0.4 * u) - 0.4 * u - 1)
    loss = loss + 0.003 * rng.standard_normal(len(u))
    return SweepTable(np.char.add("v", v.astype(str)), n[k], 2.0**x, s.astype(str), loss)


def surface(at: tuple[Array, Array], *p: float) -> Array:
    """The joint surface a user would hand to curve_fit: laws of loss, optimum and curvature, cubic basin."""
    t, x = at
    l_inf, gain, alpha, x0, drift, log_h, bend, cubic = p
    u = x - x0 - drift * t
    return l_inf + gain * np.exp2(-alpha * t) + np.exp(log_h + bend * t) * (u * u / 2 + cubic * u**3 / 6)


@dataclass(frozen=True)
class Took:
    """Seconds by the clock, and of processor, all threads together."""

    wall: float
    processor: float

    def over(self, other: Took) -> str:
        """Its ratio to another's, in both."""
        wall, processor = self.wall / other.wall, self.processor / other.processor
        return f"{wall:.1f} x by the clock, {processor:.1f} x of processor"


def since(wall: float, processor: float) -> Took:
    return Took(time.perf_counter() - wall, time.process_time() - processor)


def loop(sweep: SweepTable, resamples: int) -> Took:
    """1,000 bootstrap refits of every variant with curve_fit, one by one; timed on `resamples` of them."""
    rng = np.random.default_rng(1)
    wall, processor = time.perf_counter(), time.process_time()
    for name in dict.fromkeys(sweep.variant):
        rows = sweep.variant == name
        t, x, y = np.log2(sweep.scale[rows] / sweep.scale.min()), np.log2(sweep.hp[rows]), sweep.loss[rows]
        start = (2.5, 0.8, 0.5, -8.0, -0.2, -3.0, 0.0, 0.0)
        for _ in range(resamples):
            pick = rng.integers(0, len(y), len(y))
            try:
                curve_fit(surface, (t[pick], x[pick]), y[pick], p0=start, maxfev=2000)
            except RuntimeError:  # no convergence: time spent all the same
                continue
    took = since(wall, processor)
    return Took(took.wall * 1000 / resamples, took.processor * 1000 / resamples)


def timed(label: str, sweep: SweepTable, **options: int) -> Took:
    """Prints how long one fit took, its own processes' time not counted as this one's."""
    wall, processor = time.perf_counter(), time.process_time()
    quantify(sweep, **options)
    took = since(wall, processor)
    print(f"{label:70s} {took.wall:8.2f} s  ({took.processor:.2f} s of processor)", flush=True)
    return took


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--many", action="store_true")
    parser.add_argument("--quick", action="store_true", help="only the 16 variants")
    args = parser.parse_args()
    quantify(sweep_table(1, 3, 5, 1), draws=100)
    study = sweep_table(16, 5, 9, 3)
    ours = timed("16 variants x 5 scales x 9 LRs x 3 seeds, 1,000 draws, hold-out", study)
    bare = timed("the same without the hold-out refit", study, holdout=0)
    slow = loop(study, LOOP_RESAMPLES)
    label = "curve_fit loop, 1,000 resamples of the same 16 variants (scaled up)"
    print(f"{label:70s} {slow.wall:8.2f} s  ({slow.processor:.2f} s of processor)")
    print(f"  its ratio to ours, which refits no hold-out either: {slow.over(bare)}")
    print(f"  its ratio to ours with the hold-out: {slow.over(ours)}")
    if args.quick:
        return
    timed("1,000 small sweeps (4 scales x 7 LRs), 1,000 draws, hold-out", sweep_table(1000, 4, 7, 1))
    timed("the same without the hold-out refit", sweep_table(1000, 4, 7, 1), holdout=0)
    if args.many:
        timed("10,000 variants (3 scales x 6 LRs), 200 draws", sweep_table(10_000, 3, 6, 1), draws=200)


if __name__ == "__main__":
    main()
