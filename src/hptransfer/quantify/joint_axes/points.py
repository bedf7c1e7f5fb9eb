"""The points of several axes as the scales of a joint fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hptransfer.quantify.axes import design
from hptransfer.quantify.joint.points import Axes, Points, points_of
from hptransfer.sweep.table import FloatArray, SweepTable

POINT = "point"  # stands for the column of the scale: the number of a run's point


@dataclass(frozen=True)
class Numbered:
    """A table whose scale is the number of each run's point, from 1; P points of all variants, A axes."""

    sweep: SweepTable
    values: FloatArray  # of the axes at each point, [P, A]


def numbered(sweep: SweepTable, axes: Sequence[str]) -> Numbered:
    """The table with its points numbered; its scale becomes a further column.

    Raises:
        QuantifyError: an axis cannot be used.
    """
    values, number = np.unique(design.axis_values(sweep, axes), axis=0, return_inverse=True)
    return Numbered(
        replace(
            sweep,
            scale=np.asarray(number.ravel() + 1.0),
            extra={**sweep.extra, sweep.columns.scale: sweep.scale},
            columns=replace(sweep.columns, scale=POINT),
            axes=(),
        ),
        values,
    )


def variant_points(
    table: Numbered, axes: tuple[str, ...], variant: str, values: FloatArray, hps: Axes
) -> tuple[design.Points, Points]:
    """One variant's points, as places of the axes and as scales of a joint fit.

    Args:
        table: the numbered runs.
        axes: names of the axes of scale.
        variant: its name.
        values: of the hyperparameters, [runs, d].
        hps: the hyperparameters.
    """
    points = points_of(table.sweep, variant, values, hps)
    at = table.values[np.round(points.scale).astype(int) - 1]
    return design.Points(axes, at), replace(points, several=np.log2(at))
