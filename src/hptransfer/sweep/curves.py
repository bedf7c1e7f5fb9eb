"""Logged curves: the one loss of a run out of the losses along it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hptransfer.errors import SweepError
from hptransfer.sweep.names import NAMES, STEPS, base_name, joined, loss_rank, rank
from hptransfer.sweep.profile import group_numbers
from hptransfer.sweep.raw_table import RawTable, floats, level_keys, shown
from hptransfer.sweep.table import FloatArray
from hptransfer.sweep.values import number

if TYPE_CHECKING:
    from hptransfer.sweep.finding import Found


def loss_of_curve(values: Sequence[float] | FloatArray, take: str | None) -> float:
    """The loss of a run by its curve.

    Args:
        values: losses in the order of their steps, at least one; NaN or infinite where the run diverged.
        take: `final` (also where None), `best`, or `mean:K`, the mean of the last K.

    Returns:
        The loss; NaN where the run ended diverged, whatever is taken.
    """
    curve = np.asarray(values, dtype=np.float64)
    if not np.isfinite(curve[-1]):
        return float("nan")
    if take == "best":
        return float(np.nanmin(curve))
    if take is not None and take.startswith("mean:"):
        return float(np.mean(curve[-int(take[5:]) :]))
    return float(curve[-1])


def with_last_values(table: RawTable, take: str | None) -> RawTable:
    """A table whose cells of a loss are lists, a run's history, with what `take` says of each."""
    curves = {
        column: cells for column, cells in table.columns.items()
        if loss_rank(column) is not None and any(isinstance(cell, list) for cell in cells)
    }  # fmt: skip
    if not curves:
        return table
    taken = {column: [_of_list(cell, take) for cell in cells] for column, cells in curves.items()}
    note = f"{table.names[0]}: of each curve of {', '.join(map(shown, curves))} one value is read; see --take"
    return replace(table, columns={**table.columns, **taken}, notes=(*table.notes, note))


def _of_list(cell: Any, take: str | None) -> Any:
    if not isinstance(cell, list) or not cell:
        return cell
    values = [number(value) for value in cell if not isinstance(value, list | dict)]
    return loss_of_curve([np.nan if v is None else v for v in values], take) if values else None


def one_row_a_run(table: RawTable, found: Found, take: str | None, axes: Sequence[str] = ()) -> RawTable:
    """A table with a row for every step as one with a row for every run; any other as it is.

    Only where the user says what to take: repeated rows may as well be replicates or budgets. `axes` are
    further columns that tell runs apart.

    Raises:
        SweepError: where the user does, and the table has no column of steps.
    """
    if take is None or table.of_runs:
        return table
    steps = sorted(
        (place, column)
        for column in table.columns
        if (place := rank(column, (" ".join(STEPS),))) is not None
        and not floats(table.columns[column])[1].all()
    )
    if not steps:
        raise SweepError(f"--take {take} needs a column of steps or epochs, but {table.names[0]} has none")
    step = floats(table.columns[steps[0][1]])[0]
    run_columns = [found.scale, found.hp, *axes, *found.more_hps, *found.variant]
    run_columns += [found.seed] if found.seed else []
    run_columns += [column for column in table.columns if joined(base_name(column)) in NAMES]
    group = group_numbers(*(level_keys(table.columns[column]) for column in run_columns))
    order = np.lexsort((step, group))
    losses, _ = floats(table.columns[found.loss])
    last = order[np.flatnonzero(np.diff(group[order], append=-1))]
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    curves = np.split(losses[order], starts[1:])
    kept = np.zeros(len(table), dtype=np.bool_)
    kept[last] = True
    values = {int(i): loss_of_curve(curve, take) for i, curve in zip(last, curves, strict=True)}
    columns = {**table.columns, found.loss: [values.get(i) for i in range(len(table))]}
    return replace(table, columns=columns).keep(kept)
