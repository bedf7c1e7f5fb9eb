"""The design of a sweep over several axes: its distinct points, and which axes its runs can tell apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hptransfer.errors import QuantifyError
from hptransfer.sweep.table import FloatArray, IntArray, SweepTable
from hptransfer.words import precise, rough, scale_text

MOST_AXES = 4  # more than four exponents are never known from the points of a sweep
# An axis whose spread about the others' plane is below this share of its own spread is tied to them; or
# below this many octaves.
TIED_SHARE, TIED_OCTAVES = 0.2, 0.05
OFF_PATH = 0.25  # octaves off the shared path from which nothing is predicted


@dataclass(frozen=True)
class Points:
    """The distinct points of the axes at which runs were made; K points, A axes."""

    axes: tuple[str, ...]  # the user's names, [A]
    values: FloatArray  # of the axes at each point, [K, A]

    @property
    def z(self) -> FloatArray:
        """log2 of the values, [K, A]."""
        return np.log2(self.values)

    def at(self, k: int) -> dict[str, float]:
        """The values of point k by axis."""
        return dict(zip(self.axes, map(float, self.values[k]), strict=True))

    def take(self, rows: IntArray) -> Points:
        """Some of the points."""
        return Points(self.axes, self.values[rows])


@dataclass(frozen=True)
class Design:
    """Which axes vary on their own; F of the A axes are free, the others tied to them.

    A tied axis goes with the free ones on every point: log2 of it is a constant plus `slopes` times theirs.
    """

    axes: tuple[str, ...]  # all, [A]
    free: tuple[int, ...]  # the axes with an exponent of their own, [F]
    tied: Mapping[int, FloatArray]  # of each other axis: its constant, then its slopes, [1 + F]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the free axes, [F]."""
        return tuple(self.axes[i] for i in self.free)

    def coordinates(self, z: FloatArray) -> FloatArray:
        """The free axes' columns of z [..., A], [..., F]."""
        return np.asarray(z[..., list(self.free)])

    def off_path(self, z: FloatArray) -> FloatArray:
        """Octaves that places z [M, A] lie off the path that the axes share, [M]; 0 without tied axes."""
        away = np.zeros(len(z))
        for i, line in self.tied.items():
            away = np.maximum(away, np.abs(z[:, i] - line[0] - self.coordinates(z) @ line[1:]))
        return away


def axis_values(sweep: SweepTable, axes: Sequence[str]) -> FloatArray:
    """The axes' values of every run, [runs, A].

    Raises:
        QuantifyError: an axis is no column of the table, repeats, is constant, missing or not positive in a
            row, or there are too many.
    """
    if len(set(axes)) < len(axes):
        raise QuantifyError(f"axes must be different columns, but got {', '.join(axes)}")
    if len(axes) > MOST_AXES:
        raise QuantifyError(f"at most {MOST_AXES} axes can be fitted at once, but got {len(axes)}")
    columns = [_column(sweep, axis) for axis in axes]
    for axis, column in zip(axes, columns, strict=True):
        bad = np.flatnonzero(~((column > 0) & np.isfinite(column)))
        if bad.size:
            cell = "nothing" if np.isnan(column[bad[0]]) else precise(column[bad[0]])
            raise QuantifyError(
                f"an axis must be a positive number in every row, but {axis} is {cell} in row "
                f"{bad[0]} of the "
                f"runs, and so in {bad.size} of {len(column)}; leave such rows out, or the axis"
            )
        if np.ptp(np.log2(column)) == 0:
            raise QuantifyError(
                f"an axis must vary, but {axis} is {scale_text(column[0])} in every run; leave it out of the "
                "axes, or add "
                "runs at a second value"
            )
    return np.stack(columns, axis=1)


def _column(sweep: SweepTable, axis: str) -> FloatArray:
    if axis == sweep.columns.scale:
        return sweep.scale
    if axis in sweep.extra:
        return sweep.extra[axis]
    valid = ", ".join((sweep.columns.scale, *sweep.extra))
    raise QuantifyError(f"an axis must be a column of numbers of the table, but got {axis!r}; valid: {valid}")


def find_design(points: Points) -> Design:
    """Free and tied axes of some points: in the user's order, an axis that earlier ones tell is tied."""
    z = points.z
    free: list[int] = []
    tied: dict[int, FloatArray] = {}
    for i in range(z.shape[1]):
        basis = np.column_stack([np.ones(len(z)), z[:, free]])
        line = np.asarray(np.linalg.lstsq(basis, z[:, i], rcond=None)[0], dtype=np.float64)
        left, own = float(np.std(z[:, i] - basis @ line)), float(np.std(z[:, i]))
        if left <= max(TIED_SHARE * own, TIED_OCTAVES) and free:
            tied[i] = line
        else:
            free.append(i)
    # A line through the earlier axes only; those that came later have no part in it.
    padded = {i: np.concatenate([line, np.zeros(1 + len(free) - len(line))]) for i, line in tied.items()}
    return Design(points.axes, tuple(free), padded)


def tied_sentence(design: Design) -> str:
    """What the runs cannot tell apart, in words; empty where every axis is free."""
    parts = []
    for i, line in design.tied.items():
        used = [(design.axes[j], s) for j, s in zip(design.free, line[1:], strict=True) if abs(s) >= 0.005]
        others = " and ".join(name for name, _ in used) or "the others"
        power = " ".join(f"{name}^{rough(slope, 2)}" for name, slope in used)
        parts.append(
            f"These runs cannot tell {design.axes[i]} from {others}: they always grow together "
            f"({design.axes[i]} as {power or 'a constant'}). Exponents are along the path they share; "
            "nothing is "
            f"said off it. A few runs with one changed and the other kept would tell them apart."
        )
    return " ".join(parts)
