"""May the small models' value be kept, may its law be followed? Each yes, no or not known, by its cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hptransfer.parametrization.coordinates import Coordinates, coordinate_exponent
from hptransfer.parametrization.optimizers import family
from hptransfer.quantify import costs
from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.costs import Cost
from hptransfer.quantify.intervals import MetricDraws, estimate, missing
from hptransfer.quantify.law.laws import Laws
from hptransfer.quantify.predict import bends
from hptransfer.quantify.result import (
    Answer,
    AnswerValue,
    Estimate,
    HoldOut,
    Prediction,
    Verdict,
    VerdictValue,
)
from hptransfer.quantify.settings import Settings
from hptransfer.sweep.table import SweepTable
from hptransfer.words import rough, scale_text

# Flags of a scale under which a cost that looks small may not be: two wells, a scale's runs against its fit.
DOUBTFUL = ("two_minima", "own_runs_differ", "below_observed")
TOO_WIDE, WIDE = 0.5, 0.1  # tolerances, as shares of the losses' range, that forbid a yes or are flagged
MOST_OF_LOSS = 0.1  # a tolerance above this share of the lowest loss forbids a yes


@dataclass(frozen=True)
class Evidence:
    """What a verdict rests on, all of one variant."""

    basins: Basins  # pooled
    laws: Laws | None
    holdouts: tuple[HoldOut, ...]  # most scales left out first
    predictions: tuple[Prediction, ...]  # at the targets
    sweep: SweepTable
    settings: Settings
    rng: np.random.Generator  # of the draws at the targets


def decide(evidence: Evidence) -> Verdict:
    """Both answers, and the one word that follows from them."""
    e, s = evidence, evidence.settings
    exponent, own = own_exponent(e)
    targets = costs.targets_of(e.laws, s.targets, e.rng)
    kept = costs.kept_costs(e.basins, e.laws, targets, exponent, s.level)
    if e.laws is None and s.targets:
        kept += [Cost(n, MetricDraws(missing("no_laws")), None, measured=False) for n in s.targets]
    keep = _answer(e, kept, _keep_vetoes(e), kept)
    found = [Cost(h.scale, MetricDraws(h.regret), _loss_at(e.basins, h.scale)) for h in e.holdouts]
    ahead = costs.predicted_costs(e.basins, e.laws, targets, e.predictions, s.level) if targets else []
    inside = costs.law_costs(e.basins, e.laws, s.level)
    extrapolate = _answer(e, [*found, *ahead], _law_vetoes(e), [*found, *ahead, *inside])
    return Verdict(
        value=word(keep.value, extrapolate.value),
        reason=f"{keep.reason}; {extrapolate.reason}",
        tolerance=s.tolerance,
        keep=keep,
        extrapolate=extrapolate,
        coordinates=own,
        exponent=exponent,
        base=_base(e),
        other_cost=_other_cost(e, own, exponent),
        kept_hp=_kept_hp(e, exponent),
        error_cost=costs.doubled_cost(e.basins, s.level),
    )


def word(keep: AnswerValue, extrapolate: AnswerValue) -> VerdictValue:
    """One word for both answers."""
    if keep == "yes":
        return "invariant"
    if extrapolate == "yes":
        return "predictable"
    return "unpredictable" if keep == extrapolate == "no" else "undecided"


def _answer(e: Evidence, judged: Sequence[Cost], vetoes: list[str], small: Sequence[Cost]) -> Answer:
    """The answer to one question: `no` by any cost in `judged`, `yes` only by all in `small`."""
    tolerance = e.settings.tolerance
    known = [cost for cost in judged if cost.paid.estimate.value is not None]
    too_much = [cost for cost in known if (cost.paid.estimate.low or 0.0) > tolerance]
    unbounded = [cost for cost in small if not _below(cost, tolerance)]
    value: AnswerValue = "not known"
    if too_much:
        value = "no"
    elif judged and not unbounded and not vetoes:
        value = "yes"
    seen = [cost for cost in too_much if cost.measured]  # a cost that was seen says more than one foretold
    worst = max(seen or too_much or known, key=_weight, default=None)
    open_, why = [c for c in judged if c.paid.estimate.value is None], vetoes if value == "not known" else []
    if value == "not known" and open_:
        flags = {(c.scale, ", ".join(c.paid.estimate.flags) or "unknown") for c in open_}
        why = [*why, *(f"no cost at {scale_text(scale)}: {named}" for scale, named in sorted(flags))]
    if value == "not known" and not judged:
        why = [*why, "nothing to judge it by"]
    return Answer(
        value=value,
        cost=replace(worst.paid.estimate, low=worst.paid.estimate.low or 0.0)
        if worst
        else missing(*_flags(judged)),
        share=_share(worst),
        factor=costs.factor_of(worst, e.laws, e.settings.level) if worst else missing("no_laws"),
        scale=worst.scale if worst else None,
        reason=_reason(e, value, worst, why),
        why=tuple(why),
    )


def _below(cost: Cost, tolerance: float) -> bool:
    high = cost.paid.estimate.high
    return high is not None and high < tolerance


def _weight(cost: Cost) -> float:
    """By which the scale that says most is chosen: what the cost may be at most."""
    e = cost.paid.estimate
    return np.inf if e.high is None else max(e.high, e.value or 0.0)


def _flags(judged: Sequence[Cost]) -> tuple[str, ...]:
    found = dict.fromkeys(flag for cost in judged for flag in cost.paid.estimate.flags)
    return tuple(found) or ("no_holdout",)


def _share(worst: Cost | None) -> Estimate:
    """A cost as a share of the lowest loss at its scale."""
    if worst is None or not worst.best or worst.best <= 0:
        return missing("no_optimum")
    return replace(worst.paid.estimate, flags=()).times(1.0 / worst.best)


def _keep_vetoes(e: Evidence) -> list[str]:
    """What forbids to say yes to keeping the value, however small its cost seems."""
    out = _vetoes(e)
    if len(e.basins.cells.scale) < 2:
        out.append(f"one {e.sweep.columns.scale} only")
    if e.settings.targets and e.laws is not None and max(e.settings.targets) > e.basins.cells.scale[-1]:
        out += _bent(e)
    return out


def _law_vetoes(e: Evidence) -> list[str]:
    """What forbids to say yes to following the law."""
    out = _vetoes(e)
    if not e.holdouts:
        out.append("no hold-out check was asked for")
    if e.laws is not None:
        out += _bent(e)
        if "edge_contradicts_law" in e.laws.flags:
            out.append("an optimum at the edge of its grid contradicts the law")
    return out


def _bent(e: Evidence) -> list[str]:
    return ["the law bends"] if e.laws is not None and bends(e.laws, e.settings.level) else []


def _vetoes(e: Evidence) -> list[str]:
    """What forbids either yes: a tolerance that is no test, doubtful optima, a hold-out that failed."""
    tolerance, cells = e.settings.tolerance, e.basins.cells
    out = []
    spread = loss_range(e.basins)
    lowest = float(np.nanmin(cells.loss[-1])) if cells.usable[-1].any() else np.nan
    if tolerance > TOO_WIDE * spread:
        out.append("the tolerance is more than half of the losses' range at the largest scale")
    elif 0 < lowest < tolerance / MOST_OF_LOSS:
        out.append("the tolerance is more than a tenth of the lowest loss at the largest scale")
    for k, flags in enumerate(e.basins.flags):
        out += [f"{flag} at {scale_text(cells.scale[k])}" for flag in flags if flag in DOUBTFUL]
    for check in e.holdouts:
        if check.regret.low is not None and check.regret.low > tolerance:
            out.append(f"the hold-out check failed at {scale_text(check.scale)}")
    return out


def tolerance_flags(basins: Basins, tolerance: float) -> tuple[str, ...]:
    """The loud flag where the tolerance is large against what was measured."""
    return ("tolerance_large",) if tolerance > WIDE * loss_range(basins) else ()


def loss_range(basins: Basins) -> float:
    """Highest less lowest loss of the finished runs at the largest scale; infinite where there are none."""
    usable = basins.cells.usable[-1]
    return float(np.ptp(basins.cells.loss[-1, usable])) if usable.any() else np.inf


def own_exponent(e: Evidence) -> tuple[int, Coordinates | None]:
    """The exponent from the table's coordinates to those that the variant's user sets, and their name."""
    table, variant = e.settings.coordinates, e.basins.cells.variant
    own = e.sweep.own_coordinates.get(variant, table)
    if table is None or own is None:
        return 0, own  # the column is then what the user sets
    return coordinate_exponent(table, own, family(e.sweep.optimizer_of(variant))), own


def _other_cost(e: Evidence, own: Coordinates | None, exponent: int) -> Estimate | None:
    """Of keeping the value in the other coordinates at the largest scale; None where they are not known."""
    table, scale = e.settings.coordinates, e.basins.cells.scale
    if table is None or own is None or len(scale) < 2:
        return None
    other: Coordinates = "mup" if own == "sp" else "sp"
    step = coordinate_exponent(table, other, family(e.sweep.optimizer_of(e.basins.cells.variant)))
    if step == exponent:
        return None
    return costs.kept_costs(e.basins, None, (), step, e.settings.level)[-1].paid.estimate


def _base(e: Evidence) -> float:
    return e.sweep.base_scale or float(e.sweep.scale.min())


def _kept_hp(e: Evidence, exponent: int) -> Estimate:
    """The smallest models' optimum as its user sets it."""
    b = e.basins
    if not b.fitted[0]:
        return missing("no_optimum")
    shift = exponent * np.log2(b.cells.scale[0] / _base(e))
    return estimate(float(np.exp2(b.x[0] + shift)), np.exp2(b.x_draws[:, 0] + shift), e.settings.level)


def _loss_at(basins: Basins, scale: float) -> float | None:
    k = int(np.searchsorted(basins.cells.scale, scale))
    return float(basins.loss[k]) if k < len(basins.fitted) and basins.fitted[k] else None


def _reason(e: Evidence, value: AnswerValue, worst: Cost | None, why: Sequence[str]) -> str:
    """`no: costs 0.33 nats (0.20 to 0.49) at width 1024`."""
    unit, scale = e.sweep.metric.unit, e.sweep.columns.scale
    said = "its cost is not known"
    if worst is not None:
        c = worst.paid.estimate
        high = "no upper limit" if c.high is None else rough(c.high / e.settings.unit, 4)
        low, at = (c.low or 0.0) / e.settings.unit, (c.value or 0.0) / e.settings.unit
        said = f"costs {rough(at, 4)} {unit} ({rough(low, 4)} to {high}) at {scale} {scale_text(worst.scale)}"
    return f"{value}, {said}" + (f"; {'; '.join(why)}" if why else "")
