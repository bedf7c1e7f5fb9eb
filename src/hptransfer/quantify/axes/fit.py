"""Fits a sweep table over several axes: every variant, in the unit of its losses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hptransfer.errors import QuantifyError
from hptransfer.quantify.axes.answers import with_cost
from hptransfer.quantify.axes.basins import points_of
from hptransfer.quantify.axes.design import Points, axis_values
from hptransfer.quantify.axes.envelope import envelope_of
from hptransfer.quantify.axes.measure import measure_axes
from hptransfer.quantify.axes.model import SPARE, AxesSettings, find_basis
from hptransfer.quantify.axes.result import AxesVariant
from hptransfer.quantify.result import Estimate
from hptransfer.sweep.table import SweepTable

FARTHEST = 100.0  # octaves between a target and the runs beyond which sums overflow


def fit_axes(sweep: SweepTable, settings: AxesSettings, unit: float) -> dict[str, AxesVariant]:
    """Everything measured, by variant.

    Args:
        sweep: the runs, losses in the unit of a fit.
        settings: of the fit; its tolerance in that unit.
        unit: what one unit of the table's losses is in those of the fit.

    Raises:
        QuantifyError: an axis cannot be used, or there are too few points for so many.
    """
    found = points_of(sweep, axis_values(sweep, settings.axes), settings.axes)
    _check(sweep, [points for points, _ in found], settings)
    bases = [find_basis(points, cells, settings) for points, cells in found]
    envelope = envelope_of(bases, settings.reference)
    out = {}
    for i, (basis, (_, cells)) in enumerate(zip(bases, found, strict=True)):
        variant = measure_axes(basis, cells, envelope, settings, i)
        out[cells.variant] = in_unit_of_table(variant, unit, sweep.metric.unit)
    return out


def _check(sweep: SweepTable, found: list[Points], s: AxesSettings) -> None:
    most, needed = max(len(points.values) for points in found), len(s.axes) + SPARE
    if most < needed:
        raise QuantifyError(
            f"a law over {len(s.axes)} axes needs runs at {needed} different points of "
            f"{', '.join(s.axes)} or "
            f"more, but there are {most}; add runs at {needed - most} more, or take fewer axes"
        )
    if s.reference is not None and s.reference not in sweep.variants:
        raise QuantifyError(f"reference must be a variant of the sweep table, but got {s.reference!r}")
    z = np.log2(axis_values(sweep, s.axes))
    for target in s.targets:
        at = np.log2(np.array([target[axis] for axis in s.axes]))
        if np.abs(at - z.mean(axis=0)).max() > FARTHEST:
            raise QuantifyError(f"a target must be within 2^{FARTHEST:g} of the runs, but got {target}")


def in_unit_of_table(variant: AxesVariant, unit: float, name: str) -> AxesVariant:
    """A variant fitted in the unit of a fit, in that of its table, whose name goes into the reasons."""
    f = 1.0 / unit

    def times(e: Estimate) -> Estimate:
        return e.times(f)

    def number(value: float | None) -> float | None:
        return None if value is None else value * f

    powers = {"E": f * f, "R_n": f, "R_inf": f}
    loss = {k: e if k.startswith("alpha ") else times(e) for k, e in variant.loss.items()}
    return replace(
        variant,
        points=tuple(replace(p, loss=times(p.loss)) for p in variant.points),
        loss=loss,
        metrics={k: e.times(powers.get(k, 1.0)) for k, e in variant.metrics.items()},
        predictions=tuple(
            replace(p, loss=times(p.loss), regret=number(p.regret)) for p in variant.predictions
        ),
        holdouts=tuple(replace(h, regret=times(h.regret)) for h in variant.holdouts),
        rules=tuple(replace(r, cost=number(r.cost), worst=number(r.worst)) for r in variant.rules),
        keep=with_cost(replace(variant.keep, cost=times(variant.keep.cost)), name),
        extrapolate=with_cost(replace(variant.extrapolate, cost=times(variant.extrapolate.cost)), name),
    )
