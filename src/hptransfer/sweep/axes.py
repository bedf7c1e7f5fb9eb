"""Several axes of scale: their columns in the table as it was read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hptransfer.errors import SweepError
from hptransfer.sweep.profile import group_numbers
from hptransfer.sweep.raw_table import RawTable, candidates, find, floats, shown
from hptransfer.sweep.table import SweepTable

Scale = str | Sequence[str] | None  # one column, several, or several in one text, comma-separated


def first_axis(scale: Scale) -> str | None:
    """The first axis's name, as a source that is not yet read needs it; None where nobody named one."""
    if isinstance(scale, str):
        return scale.split(",")[0].strip()
    return scale[0] if scale else None


def with_axes(table: RawTable, scale: Scale) -> tuple[RawTable, tuple[str, ...]]:
    """The table with the columns of the axes beyond the first as numbers, under the user's names.

    Returns:
        The table, and the names of the axes: none where nobody named any, one where there is one scale.

    Raises:
        SweepError: an axis is named twice, or is no column of numbers.
    """
    if scale is None:
        return table, ()
    if isinstance(scale, str):
        whole = len(candidates(table, scale)) > 0 or "," not in scale
        names = [scale] if whole else [part.strip() for part in scale.split(",") if part.strip()]
    else:
        names = list(scale)
    if len(set(names)) < len(names):
        raise SweepError(f"axes of the scale must be different columns, but got {', '.join(names)}")
    columns = dict(table.columns)
    for name in names[1:]:
        column = find(table, name, "scale")
        values, strange = floats(table.columns[column], labelled=True)
        bad = np.flatnonzero(strange)
        if bad.size:
            cell = table.columns[column][bad[0]]
            raise SweepError(
                f"{name} must be a positive number, but {table.place(int(bad[0]))} has {name}={shown(cell)}"
            )
        columns = {
            name if key == column else key: values.tolist() if key == column else cells
            for key, cells in columns.items()
        }
    return replace(table, columns=columns), tuple(names)


def cell_numbers(sweep: SweepTable, seeds: Sequence[Any] | NDArray[np.generic]) -> NDArray[np.int64]:
    """Number of each run's cell by the runs' seeds: runs of one are replicates of each other, [runs]."""
    further = (sweep.extra[axis] for axis in sweep.axes[1:] if axis in sweep.extra)
    return group_numbers(sweep.variant, sweep.scale, *further, sweep.hp, seeds)
