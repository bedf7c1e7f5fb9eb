"""Can this variant's hyperparameter be carried up?"""

from __future__ import annotations

import numpy as np

from hptransfer.quantify.optimum import Basins
from hptransfer.quantify.result import Estimate, HoldOut, Regret, SuggestedRun, Verdict

MAX_SEEDS = 16


def decide(
    basins: Basins, regrets: tuple[Regret, ...], holdouts: tuple[HoldOut, ...], tolerance: float
) -> Verdict:
    """Applies QUANTIFY section 6: keep the value, or extrapolate the law, or neither, or not known."""
    scale = basins.cells.scale
    kept = next((r.regret for r in regrets if r.source == scale[0] and r.to == scale[-1]), Estimate())
    # The law is judged on one held-out scale, the largest, whatever more was held out.
    law = holdouts[-1].regret if holdouts else Estimate()
    text = f"keeping the value costs {_say(kept)}, extrapolating the law {_say(law)}"
    if kept.high is not None and kept.high < tolerance:
        return Verdict("invariant", f"keeping the value costs {_say(kept)}", tolerance)
    if law.high is not None and law.high < tolerance:
        return Verdict("predictable", text, tolerance)
    if kept.low is not None and law.low is not None and min(kept.low, law.low) > tolerance:
        return Verdict("unpredictable", text, tolerance)
    return Verdict("undecided", text, tolerance, _suggest(basins, kept, law, tolerance))


def _say(regret: Estimate) -> str:
    if regret.value is None:
        return "an unknown regret" + (f" ({', '.join(regret.flags)})" if regret.flags else "")
    high = "unbounded" if regret.high is None else f"{regret.high:.4f}"
    return f"{regret.value:.4f} nats (to {high})"


def _suggest(basins: Basins, kept: Estimate, law: Estimate, tolerance: float) -> tuple[SuggestedRun, ...]:
    """Runs beyond the edge where an optimum sits on it; else more seeds around the optima at both ends."""
    cells = basins.cells
    out: list[SuggestedRun] = []
    for k in sorted({0, len(cells.scale) - 1}):
        if not cells.usable[k].any():
            continue
        grid = cells.x[k, cells.usable[k]]
        step = float(np.median(np.diff(grid))) if len(grid) > 1 else 1.0
        if basins.fitted[k]:
            near = grid[np.argsort(np.abs(grid - basins.x[k]))[:4]]
            seeds = _seeds(kept if k else law, tolerance)
            out += [_run(basins, k, x, seeds) for x in np.sort(near)]
        else:
            side = basins.edge[k] or 1
            start = grid[0] if side < 0 else grid[-1]
            out += [_run(basins, k, start + side * step * i, 1) for i in (1, 2)]
    return tuple(out)


def _seeds(regret: Estimate, tolerance: float) -> int:
    """Seeds that would shrink the interval until it lies on one side of the tolerance."""
    if regret.value is None or regret.high is None:
        return 2
    distance = max(abs(tolerance - regret.value), 0.1 * tolerance)
    return int(np.clip(np.ceil(((regret.high - regret.value) / distance) ** 2), 1, MAX_SEEDS))


def _run(basins: Basins, k: int, x: float, seeds: int) -> SuggestedRun:
    return SuggestedRun(float(basins.cells.scale[k]), float(np.exp2(x)), seeds)
