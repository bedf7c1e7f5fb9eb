"""The check every report shows: refit without the largest scales, predict, compare with what was found."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.basin.cells import Cells
from hptransfer.quantify.basin.fit import fit_basins
from hptransfer.quantify.intervals import estimate, missing
from hptransfer.quantify.law.laws import fit_hp_laws
from hptransfer.quantify.law.siblings import TablePrior
from hptransfer.quantify.predict import optimum_at, optimum_draws, regret_between
from hptransfer.quantify.result import HoldOut
from hptransfer.quantify.settings import Settings
from hptransfer.quantify.summarize import optimal_hp


@dataclass(frozen=True)
class Known:
    """The basins of one variant, and what the other variants of its table say of it."""

    basins: Basins
    others: TablePrior | None


def without_largest(
    all_basins: list[Basins], k: int, settings: Settings, first: int, total: int
) -> list[Basins | None]:
    """Basins of every variant refitted without its k largest scales; None where nothing would be left.

    `first` and `total` as in `fit_basins`.
    """
    left = [b for b in all_basins if len(b.cells.scale) > k]
    cut = [_cut(b.cells, k) for b in left]
    refitted = iter(fit_basins(cut, settings.draws, settings.seed, first=first, total=total))
    return [next(refitted) if len(b.cells.scale) > k else None for b in all_basins]


def _cut(cells: Cells, k: int) -> Cells:
    names = ("scale", "x", "loss", "count", "spread", "censored", "runs", "diverged", "tilt", "tilt_freedom")
    return replace(cells, **{name: getattr(cells, name)[:-k] for name in names})


def check(full: Basins, learned: Known | None, k: int, s: Settings, rng: np.random.Generator) -> HoldOut:
    """Predicts the smallest of the k scales left out and compares with the fit of everything.

    `learned` is what is known without them, None where nothing is.
    """
    scales = full.cells.scale
    if learned is None:
        nothing = missing("too_few_scales")
        return HoldOut(float(scales[0]), nothing, nothing, None, nothing, None, ("too_few_scales",))
    held = len(scales) - k
    scale, found = float(scales[held]), optimal_hp(full, held, s.level)
    laws = fit_hp_laws(learned.basins, s.family, rng, learned.others)
    if laws is None:
        nothing = missing("no_laws")
        return HoldOut(scale, nothing, found, None, nothing, None, ("no_laws",))
    draws = optimum_draws(laws, scale, rng)
    x = optimum_at(laws, scale)
    predicted = estimate(float(np.exp2(x)), np.exp2(draws), s.level)
    regret = regret_between(full, held, x, draws, s.level)
    if not full.fitted[held]:
        return HoldOut(scale, predicted, found, None, regret, None, full.flags[held])
    low, high = predicted.low or 0.0, predicted.high or np.inf
    covered = bool(low <= np.exp2(full.x[held]) <= high)
    return HoldOut(scale, predicted, found, x - float(full.x[held]), regret, covered, laws.flags)
