"""Can this variant's hyperparameter be carried to larger models? If undecided, which runs are suggested?"""

from __future__ import annotations

import numpy as np

from hptransfer.parametrization.coordinates import Coordinates, coordinate_exponent
from hptransfer.parametrization.optimizers import Family, family
from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.predict import kept_elsewhere
from hptransfer.quantify.priors import ADVICE
from hptransfer.quantify.result import Estimate, HoldOut, Regret, SuggestedRun, Verdict
from hptransfer.quantify.settings import Settings
from hptransfer.sweep.table import FloatArray, SweepTable


def decide(
    basins: Basins,
    regrets: tuple[Regret, ...],
    holdouts: tuple[HoldOut, ...],
    settings: Settings,
    sweep: SweepTable,
) -> Verdict:
    """Whether the value can be kept, its law predicts it, neither is safe, or the runs do not decide it.

    `holdouts` have most scales left out first.
    """
    scale, tolerance = basins.cells.scale, settings.tolerance
    kept = next((r.regret for r in regrets if r.source == scale[0] and r.to == scale[-1]), Estimate())
    # The law is judged on one scale held out, the largest, whatever more was held out.
    law = holdouts[-1].regret if holdouts else Estimate(flags=("no_holdout",))
    optimizer = family(sweep.optimizer_of(basins.cells.variant))
    cost = f"{_say(kept)}{_elsewhere(basins, settings, optimizer)}"
    keeping = f"at {sweep.columns.scale} {scale[-1]:g} the smallest scale's optimum costs {cost}"
    text = f"{keeping}; the law's prediction costs {_say(law)}"
    if kept.high is not None and kept.high < tolerance:
        return Verdict("invariant", keeping, tolerance)
    if law.high is not None and law.high < tolerance:
        return Verdict("predictable", text, tolerance)
    if kept.low is not None and law.low is not None and min(kept.low, law.low) > tolerance:
        return Verdict("unpredictable", text, tolerance)
    return Verdict("undecided", text, tolerance, _suggest(basins, kept, law, tolerance, sweep))


def _elsewhere(basins: Basins, settings: Settings, optimizer: Family) -> str:
    """Cost of keeping the value in the other coordinates; empty where they are not known, or are the same."""
    if settings.coordinates is None or len(basins.cells.scale) < 2:
        return ""
    other: Coordinates = "mup" if settings.coordinates == "sp" else "sp"
    exponent = coordinate_exponent(settings.coordinates, other, optimizer)
    if exponent == 0:
        return ""
    name = {"sp": "SP", "mup": "muP"}[other]
    return f", or in {name} coordinates {_say(kept_elsewhere(basins, exponent, settings.level))}"


def _say(regret: Estimate) -> str:
    if regret.value is None:
        return "an unknown amount" + (f" ({', '.join(regret.flags)})" if regret.flags else "")
    low = "0" if regret.low is None else f"{regret.low:.4f}"
    high = "no upper limit" if regret.high is None else f"{regret.high:.4f}"
    return f"{regret.value:.4f} nats ({low} to {high})"


def _suggest(
    basins: Basins, kept: Estimate, law: Estimate, tolerance: float, sweep: SweepTable
) -> tuple[SuggestedRun, ...]:
    """Suggests runs at the smallest and the largest scale.

    Where every run diverged: smaller values. If the optimum is at the edge of the grid: runs past the edge.
    If its minimum was rejected: one run on either side of the lowest. Otherwise: more seeds of the nearest.
    """
    cells = basins.cells
    out: list[SuggestedRun] = []
    for k in sorted({0, len(cells.scale) - 1}):
        usable, seeds = cells.x[k, cells.usable[k]], 1
        if not len(usable):
            filled = cells.x[k][~np.isnan(cells.x[k])]
            values = filled[0] - _step(filled) * np.arange(1, ADVICE.edge_runs + 1)
        elif basins.fitted[k]:
            nearest = np.argsort(np.abs(usable - basins.x[k]), kind="stable")[: ADVICE.seed_cells]
            values, seeds = np.sort(usable[nearest]), max(_seeds(kept, tolerance), _seeds(law, tolerance))
        elif basins.edge[k]:
            values = _past_edge(basins, k, usable)
        else:
            values = np.array(_beside_lowest(basins, k))
        out += [_run(basins, k, float(x), seeds, sweep) for x in values]
    return tuple(out)


def _past_edge(basins: Basins, k: int, usable: FloatArray) -> FloatArray:
    """log2 eta of runs past the edge on which the optimum of scale k sits, short of where a run diverged."""
    side = int(basins.edge[k])
    start, step = (usable[0] if side < 0 else usable[-1]), _step(usable)
    if side > 0 and np.isfinite(basins.high[k]):
        step = (basins.high[k] - start) / (ADVICE.edge_runs + 1)
    return np.asarray(start + side * step * np.arange(1, ADVICE.edge_runs + 1))


def _beside_lowest(basins: Basins, k: int) -> tuple[float, float]:
    """log2 eta half way from the lowest run of scale k to those next to it, diverged ones included."""
    cells = basins.cells
    grid, lowest = cells.x[k][~np.isnan(cells.x[k])], float(cells.x[k, int(np.nanargmin(cells.loss[k]))])
    left, right = grid[grid < lowest], grid[grid > lowest]
    step = _step(grid)
    low, high = (left[-1] if len(left) else lowest - step), (right[0] if len(right) else lowest + step)
    return 0.5 * (lowest + float(low)), 0.5 * (lowest + float(high))


def _step(x: FloatArray) -> float:
    return float(np.median(np.diff(x))) if len(x) > 1 else 1.0


def _seeds(regret: Estimate, tolerance: float) -> int:
    """More seeds a cell, as many as shrink the interval until it lies on one side of the tolerance."""
    if regret.value is None or regret.high is None or regret.low is None:
        return 1
    if not regret.low <= tolerance <= regret.high:
        return 1
    distance = max(abs(tolerance - regret.value), ADVICE.least_distance * tolerance)
    return int(np.clip(np.ceil(((regret.high - regret.low) / (2 * distance)) ** 2), 1, ADVICE.seeds_most))


def _run(basins: Basins, k: int, x: float, seeds: int, sweep: SweepTable) -> SuggestedRun:
    """A suggested run with its price."""
    scale = float(basins.cells.scale[k])
    return SuggestedRun(scale, float(np.exp2(x)), seeds, _flops(sweep, basins.cells.variant, scale, seeds))


def _flops(sweep: SweepTable, variant: str, scale: float, seeds: int) -> float | None:
    """Of all its seeds: measured where the table has `flops`, else 6 x params x tokens; None if unknown."""
    extra = sweep.extra
    if "flops" not in extra and not {"params", "tokens"} <= extra.keys():
        return None
    rows = (sweep.variant == variant) & (sweep.scale == scale)
    names = ("flops",) if "flops" in extra else ("params", "tokens")
    columns = [np.asarray(extra[name], dtype=np.float64)[rows] for name in names]
    one = columns[0] if len(columns) == 1 else 6.0 * columns[0] * columns[1]
    one = one[np.isfinite(one)]
    return float(np.median(one) * seeds) if len(one) else None
