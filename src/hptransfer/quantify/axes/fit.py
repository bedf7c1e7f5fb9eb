"""Fits a sweep table over several axes: every variant, in the unit of its losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from hptransfer.errors import QuantifyError
from hptransfer.quantify.axes.answers import with_cost
from hptransfer.quantify.axes.basins import points_of
from hptransfer.quantify.axes.design import Points, axis_values
from hptransfer.quantify.axes.envelope import envelope_of
from hptransfer.quantify.axes.measure import measure_axes
from hptransfer.quantify.axes.model import SPARE, AxesSettings, find_basis
from hptransfer.quantify.axes.result import AxesLaws, AxesVariant
from hptransfer.quantify.result import Estimate
from hptransfer.sweep.table import SweepTable
from hptransfer.words import precise

Laws = TypeVar("Laws", bound=AxesLaws)
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
    check_axes(sweep, [points for points, _ in found], settings)
    bases = [find_basis(points, cells, settings) for points, cells in found]
    envelope = envelope_of(bases, settings.reference)
    out = {}
    for i, (basis, (_, cells)) in enumerate(zip(bases, found, strict=True)):
        variant = measure_axes(basis, cells, envelope, settings, i)
        out[cells.variant] = in_unit_of_table(variant, unit, sweep.metric.unit)
    return out


def check_axes(sweep: SweepTable, found: Sequence[Points], s: AxesSettings) -> None:
    """Whether the points are enough for so many axes, and the targets within reach.

    Raises:
        QuantifyError: they are not.
    """
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
            raise QuantifyError(
                f"a target must be within 2^{precise(FARTHEST)} of the runs, but got {target}"
            )


def in_unit_of_table(variant: AxesVariant, unit: float, name: str) -> AxesVariant:
    """A variant fitted in the unit of a fit, in that of its table, whose name goes into the reasons."""
    f = 1.0 / unit
    powers = {"E": f * f, "R_n": f, "R_inf": f}
    return replace(
        laws_times(variant, f),
        loss=loss_times(variant.loss, f),
        metrics={k: e.times(powers.get(k, 1.0)) for k, e in variant.metrics.items()},
        holdouts=tuple(replace(h, regret=h.regret.times(f)) for h in variant.holdouts),
        keep=with_cost(replace(variant.keep, cost=variant.keep.cost.times(f)), name),
        extrapolate=with_cost(replace(variant.extrapolate, cost=variant.extrapolate.cost.times(f)), name),
    )


def loss_times(loss: Mapping[str, Estimate], f: float) -> dict[str, Estimate]:
    """Parameters of a loss law in another unit; exponents stay."""
    return {k: e if k.startswith("alpha ") else e.times(f) for k, e in loss.items()}


def laws_times(laws: Laws, f: float) -> Laws:
    """The laws of a hyperparameter with its losses in another unit."""

    def number(value: float | None) -> float | None:
        return None if value is None else value * f

    return replace(
        laws,
        points=tuple(replace(p, loss=p.loss.times(f)) for p in laws.points),
        predictions=tuple(
            replace(p, loss=p.loss.times(f), regret=number(p.regret)) for p in laws.predictions
        ),
        rules=tuple(replace(r, cost=number(r.cost), worst=number(r.worst)) for r in laws.rules),
    )
