"""The unit of the losses: what a fit works in, and back to what the table holds.

Fits and their priors are in nats. Bits are that but for a factor; of a mean squared error or an error rate
nothing is known but its size, so it is fitted as a multiple of the lowest loss at the largest scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from hptransfer.errors import QuantifyError
from hptransfer.quantify.metrics import METRICS
from hptransfer.quantify.result import Answer, Estimate, Law, Optimum, Regret, VariantFit, Verdict
from hptransfer.sweep.table import FloatArray, SweepTable

_POWERS = {"nats": 1, "nats^2": 2}  # of the unit of loss in a metric's unit
_LOSS_PARAMETERS = ("L_inf", "A")


def unit_of(sweep: SweepTable) -> float:
    """What one unit of the table's losses is in those that a fit works in."""
    if not sweep.metric.relative:
        return sweep.metric.nats
    return 1.0 / _size(sweep)


def default_tolerance(sweep: SweepTable) -> float:
    """The cost that counts as none for the table's metric, in its unit."""
    metric = sweep.metric
    return metric.tolerance * _size(sweep) if metric.relative else metric.tolerance / metric.nats


def _size(sweep: SweepTable) -> float:
    """Lowest loss at the largest scale with a finished run; the losses' range where it is not positive."""
    finished = ~sweep.diverged
    if not finished.any():
        return 1.0
    loss = sweep.loss[finished & (sweep.scale == sweep.scale[finished].max())]
    lowest, spread = float(loss.min()), float(np.ptp(sweep.loss[finished]))
    return lowest if lowest > 0 else spread if spread > 0 else 1.0


def scaled(sweep: SweepTable, unit: float) -> SweepTable:
    """The table with losses in the unit of a fit; the same table where they are."""
    if unit == 1.0:
        return sweep
    if not np.isfinite(unit):
        raise QuantifyError(f"{sweep.columns.loss} must be of a size that can be fitted, but it is too small")
    extra = {k: v * unit if k == "initial_loss" else v for k, v in sweep.extra.items()}
    return replace(sweep, loss=sweep.loss * unit, extra=extra)


def in_unit_of_table(fit: VariantFit, unit: float) -> VariantFit:
    """A variant fitted in the unit of a fit, in that of its table."""
    if unit == 1.0:
        return fit
    powers = {name: _POWERS.get(METRICS[name].unit, 0) for name in fit.metrics}
    return replace(
        fit,
        optima=tuple(_optimum(o, unit) for o in fit.optima),
        laws={name: _law(name, law, unit) for name, law in fit.laws.items()},
        metrics={name: over(m, unit ** powers[name]) for name, m in fit.metrics.items()},
        regret=tuple(_regret(r, unit) for r in fit.regret),
        predictions=tuple(
            replace(p, loss=over(p.loss, unit), regret=None if p.regret is None else p.regret / unit)
            for p in fit.predictions
        ),
        holdouts=tuple(replace(h, regret=over(h.regret, unit)) for h in fit.holdouts),
        verdict=_verdict(fit.verdict, unit),
        draws={name: draws / np.float32(unit ** powers[name]) for name, draws in fit.draws.items()},
    )


def over(estimate: Estimate, unit: float) -> Estimate:
    """An estimate divided by a unit."""
    return estimate.times(1.0 / unit)


def _optimum(o: Optimum, unit: float) -> Optimum:
    return replace(
        o,
        loss=over(o.loss, unit),
        curvature=over(o.curvature, unit),
        log_curvature=over(o.log_curvature, unit),
        curve_loss=_array(o.curve_loss, unit),
    )


def _law(name: str, law: Law, unit: float) -> Law:
    if name == "hp":
        return law
    changed: Mapping[str, Estimate] = law.parameters
    scatter = law.scatter
    if name == "loss":
        changed = {k: over(p, unit) if k in _LOSS_PARAMETERS else p for k, p in changed.items()}
        scatter = None if scatter is None else scatter / unit
    else:
        changed = {k: over(p, unit) if k == "H0" else p for k, p in changed.items()}
    value, low, high = (_array(part, unit) for part in (law.value, law.low, law.high))
    return replace(law, parameters=changed, scatter=scatter, value=value, low=low, high=high)


def _array(values: FloatArray | None, unit: float) -> FloatArray | None:
    return None if values is None else values / unit


def _regret(regret: Regret, unit: float) -> Regret:
    return replace(regret, regret=over(regret.regret, unit))


def _verdict(verdict: Verdict, unit: float) -> Verdict:
    other = verdict.other_cost
    return replace(
        verdict,
        tolerance=verdict.tolerance / unit,
        keep=_answer(verdict.keep, unit),
        extrapolate=_answer(verdict.extrapolate, unit),
        other_cost=None if other is None else over(other, unit),
        error_cost=over(verdict.error_cost, unit),
    )


def _answer(answer: Answer, unit: float) -> Answer:
    return replace(answer, cost=over(answer.cost, unit))
