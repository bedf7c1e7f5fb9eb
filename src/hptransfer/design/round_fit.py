"""The fit by which a round of an adaptive study is planned, and the width of its intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hptransfer.design.goal import Goal
from hptransfer.design.grid import CandidateGrid, Observations

if TYPE_CHECKING:
    from hptransfer.quantify.result import Estimate, SweepFit, VariantFit

DRAWS = 1000  # posterior draws of a round's fit; the report may take more


@dataclass(frozen=True)
class RoundFit:
    """What is known when a round is decided."""

    fit: SweepFit | None  # of the finished runs; None while optima are being bracketed
    width: dict[str, float]  # width of what is asked, by variant; infinite where it cannot be told yet


def fit_round(grid: CandidateGrid, observed: Observations, goal: Goal) -> RoundFit:
    """Fits the finished runs."""
    from hptransfer.fit import quantify

    sweep = observed.sweep_table(grid)
    if sweep is None:
        return RoundFit(None, dict.fromkeys(grid.variants, math.inf))
    fit = quantify(sweep, targets=(grid.target,), holdout=int(goal == "verdict"), draws=DRAWS)
    widths = {v: _width(fit.variants[v], goal) if v in fit.variants else math.inf for v in grid.variants}
    if goal == "verdict":
        widths = {v: max(width, _undecided_between(fit, v)) for v, width in widths.items()}
    return RoundFit(fit, widths)


def _width(fit: VariantFit, goal: Goal) -> float:
    """Of the 95% interval of what is asked; infinite where it is unknown."""
    if goal == "law":
        law = fit.laws.get("hp")
        return math.inf if law is None else span(law.exponent)
    if goal == "optimum":
        return max((octaves(optimum.hp) for optimum in fit.optima), default=math.inf)
    if goal == "prediction":
        return octaves(fit.predictions[0].hp)
    return math.inf if fit.verdict.value == "undecided" else 0.0


def _undecided_between(fit: SweepFit, variant: str) -> float:
    """Width of the difference to the lowest variant at the largest scale; 0 where its sign is known."""
    from hptransfer.quantify.compare import compare

    last = {v: f.optima[-1].loss.value for v, f in fit.variants.items()}
    known = {v: loss for v, loss in last.items() if loss is not None}
    lowest_of = min(known, key=lambda v: known[v], default=variant)
    if lowest_of == variant:
        return 0.0
    found = compare(fit, variant, lowest_of).get("R_n")
    if found is None or found.low is None or found.high is None:
        return math.inf
    return 0.0 if found.low > 0 or found.high < 0 else span(found)


def octaves(estimate: Estimate) -> float:
    """Width of an interval of the hyperparameter; infinite where a limit is missing."""
    if estimate.low is None or estimate.high is None or not estimate.low > 0:
        return math.inf
    return math.log2(estimate.high / estimate.low)


def span(estimate: Estimate) -> float:
    """Width of an interval; infinite where a limit is missing."""
    return math.inf if estimate.low is None or estimate.high is None else estimate.high - estimate.low
