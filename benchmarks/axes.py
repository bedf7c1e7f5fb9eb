"""Judge laws over several axes: simulated surfaces of known laws, collinear designs, step-law, speed.

    python benchmarks/axes.py --studies 5 [--steplaw ../shared/data/sweeps/steplaw_dense.csv]

Simulated: over two and three axes, every design and every way in which optima leave their plane, how often
95%
intervals hold the exponents (where the truth has a plane's) and the optimum at 4x along each axis and at a
corner,
with the median width in octaves and the median error; how many collinear designs are flagged. Step-law:
each N and
each D left out in turn; a prediction holds `strictly` when what was found is inside its interval, and
`holds` when it is within 1.96 of both errors. Times are of the process.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

import hptransfer as hpt
from axes_simulator import COLLINEAR, DEPARTURES, DESIGNS, simulate_axes
from hptransfer.quantify.axes.basins import points_of
from hptransfer.quantify.axes.design import axis_values
from hptransfer.quantify.axes.holdout import hold_out
from hptransfer.quantify.axes.model import AxesSettings, find_basis, fit_model
from hptransfer.quantify.result import Estimate

PLANES = ("none", "scatter", "ragged_side")  # departures under which the plane's own exponents are the truth
NORMAL = 1.96
AUTHORS = "authors: N^-0.713+-0.030 D^0.307+-0.019, 9.35e-4 [7.65e-4, 1.14e-3] at 7e9 and 1.4e12"


def octaves(item: Estimate) -> tuple[float, float, float]:
    """Value and limits of a hyperparameter, octaves; NaN where unknown."""
    found = [np.nan if v is None else float(np.log2(v)) for v in (item.value, item.low, item.high)]
    return found[0], found[1], found[2]


def simulated(seed: int, draws: int) -> list[tuple[object, ...]]:
    """A row for every exponent and place of one study of each design and departure."""
    return [
        (axes, kind, departure, *row)
        for axes in (2, 3)
        for kind in DESIGNS
        for departure in DEPARTURES
        for row in judged(kind, departure, axes, seed, draws)
    ]


def judged(
    kind: str, departure: str, axes: int, seed: int, draws: int
) -> list[tuple[str, float, float, float]]:
    """What was asked of one study: name, whether the interval holds the truth, its width, the error."""
    study = simulate_axes(kind, departure, axes, seed)
    truth, settings = study.truth, settings_for(study.axes, draws)
    ((points, cells),) = points_of(study.sweep, axis_values(study.sweep, study.axes), study.axes)
    basis = find_basis(points, cells, settings)
    if not basis.enough or basis.design.tied:
        return [("tied by mistake" if basis.design.tied else "no law", np.nan, np.nan, np.nan)]
    fit = fit_model(basis, np.log2(truth.places), np.random.default_rng(seed)).hp
    asked = [
        (
            "corner" if label.startswith("corner") else "4x along an axis",
            truth.x[i],
            fit.at[i],
            fit.at_draws[:, i],
        )
        for i, label in enumerate(truth.labels)
    ]
    if departure in PLANES:
        asked += [
            ("exponent", truth.slopes[i], fit.parameters[1 + i], fit.draws[:, 1 + i]) for i in range(axes)
        ]
    out = []
    for what, true, value, each in asked:
        low, high = np.quantile(each, [0.025, 0.975])
        out.append((what, float(low <= true <= high), float(high - low), float(abs(value - true))))
    return out


def settings_for(axes: tuple[str, ...], draws: int) -> AxesSettings:
    return AxesSettings(axes, (), None, 0.95, 0.01, draws, 0, None, 1.35)


def collinear(studies: int) -> tuple[int, int]:
    """How many collinear designs were flagged, with no prediction off their path; and how many there were."""
    flagged = 0
    cases = [(k, a, s) for k in COLLINEAR for a in (2, 3) for s in range(studies)]
    for kind, axes, seed in cases:
        study = simulate_axes(kind, "scatter", axes, seed)
        off = dict(zip(study.axes, study.truth.places[0], strict=True))
        fit = hpt.quantify(study.sweep, scale=list(study.axes), targets=[off], draws=100)
        variant = next(iter(fit.variants.values()))
        flagged += bool(variant.tied) and variant.predictions[0].hp.value is None
    return flagged, len(cases)


def shown(table: pd.DataFrame, by: list[str]) -> None:
    grouped = table.groupby(by)
    parts = {
        "n": grouped.holds.size(), "holds": grouped.holds.mean(), "width": grouped.width.median(),
        "error": grouped.error.median(),
    }  # fmt: skip
    print(pd.DataFrame(parts).round(3).to_string(), end="\n\n", flush=True)


def steplaw(path: Path) -> None:
    """Each N and each D left out; the exponents and the prediction beside the authors'."""
    for axes, profile in ((("params", "tokens"), "batch_size"), (("params", "tokens", "batch_size"), None)):
        sweep = hpt.read(path, scale=list(axes), profile=profile)
        start = time.process_time()
        at = {"params": 7e9, "tokens": 1.4e12} | ({"batch_size": 2440} if profile is None else {})
        fit = hpt.quantify(sweep, scale=list(axes), targets=[at])
        took = time.process_time() - start
        (variant,) = fit.variants.values()
        print(
            f"step-law over {', '.join(axes)}: {len(sweep)} runs, {len(variant.points)} points, {took:.1f} s"
        )
        for law in variant.axes:
            print(f"  {law.name}: {law.drift.value:.3f} [{law.drift.low:.3f}, {law.drift.high:.3f}]")
        (p,) = variant.predictions
        _, low, high = octaves(p.hp)
        print(
            f"  at 7e9, 1.4e12: {p.hp.value:.2e} [{p.hp.low:.2e}, {p.hp.high:.2e}], {high - low:.2f} octaves"
        )
        if profile is not None:
            leave_out(sweep, axes)
    print(f"  {AUTHORS}\n")


def leave_out(sweep: hpt.SweepTable, axes: tuple[str, ...]) -> None:
    """Every value of every axis left out in turn."""
    settings = settings_for(axes, 1000)
    ((points, cells),) = points_of(sweep, axis_values(sweep, axes), axes)
    basis = find_basis(points, cells, settings)
    rows = []
    for i, axis in enumerate(axes):
        for value in np.unique(points.values[:, i]):
            chosen = np.flatnonzero(points.values[:, i] == value)
            for check in hold_out(basis, cells, chosen, axis, settings, np.random.default_rng(0)):
                predicted, low, high = octaves(check.predicted)
                found, found_low, found_high = octaves(check.found)
                if check.error_octaves is None:
                    continue
                both = np.hypot(high - low, found_high - found_low) / (2 * NORMAL)
                error = predicted - found
                rows.append((axis, low <= found <= high, abs(error) <= NORMAL * both, high - low, abs(error)))
    table = pd.DataFrame(rows, columns=["left out", "strict", "holds", "width", "error"])
    shown(table, ["left out"])
    print(f"  together: n {len(table)}, median error {table.error.median():.3f}, rms "
          f"{np.sqrt((table.error**2).mean()):.3f}, holds {table.holds.mean():.3f}, strictly "
          f"{table.strict.mean():.3f}, median width {table.width.median():.2f} octaves")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=5, help="of each design and departure")
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--steplaw", type=Path, default=Path("../shared/data/sweeps/steplaw_dense.csv"))
    arguments = parser.parse_args()
    if arguments.steplaw.exists():
        steplaw(arguments.steplaw)
    flagged, count = collinear(arguments.studies)
    print(
        f"collinear designs: {flagged} of {count} flagged, without a prediction off their path\n", flush=True
    )
    rows: list[tuple[object, ...]] = []
    for seed in range(arguments.studies):
        rows += simulated(seed, arguments.draws)
        table = pd.DataFrame(rows, columns=["axes", "design", "departure", "what", "holds", "width", "error"])
        print(f"after {seed + 1} of each:")
        shown(table, ["what"])
    for by in (["what", "departure"], ["what", "axes", "design"]):
        shown(table, by)


if __name__ == "__main__":
    main()
