"""Several hyperparameters at once: which columns they are, and which of them the table is read by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hptransfer.errors import SweepError
from hptransfer.sweep.finding import Found
from hptransfer.sweep.names import base_name, hp_logarithm
from hptransfer.sweep.raw_table import RawTable, find, floats, shown
from hptransfer.sweep.table import SweepTable


@dataclass(frozen=True)
class SeveralHps:
    """The columns of several hyperparameters, in the user's order."""

    names: tuple[str, ...]  # of the user
    columns: tuple[str, ...]  # of the table
    lead: int  # which of them is the table's hyperparameter: one without zeros

    @property
    def first(self) -> str:
        """The user's name of the one that the table is read by."""
        return self.names[self.lead]

    @property
    def others(self) -> tuple[str, ...]:
        """Columns of the rest."""
        return tuple(column for i, column in enumerate(self.columns) if i != self.lead)

    def apart_from(self, found: Found, others: Sequence[str | None]) -> Found:
        """The columns that were found, with these beside them.

        Raises:
            SweepError: one of these is read as something else, or is one of the `others`.
        """
        taken = {found.scale, found.loss, *found.variant, found.seed, *others} & {*self.columns}
        if taken:
            raise SweepError(
                f"{shown(taken.pop())} must be a hyperparameter or another column, but is named as both"
            )
        return replace(found, more_hps=self.others)

    def named(self, sweep: SweepTable) -> SweepTable:
        """The table with the names under which it holds them."""
        held = [
            sweep.columns.hp if i == self.lead else column if column in sweep.extra else base_name(column)
            for i, column in enumerate(self.columns)
        ]
        return replace(sweep, hps=tuple(held))


def split_names(hp: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """The names of several hyperparameters; None where it is one or none.

    Raises:
        SweepError: one is blank.
    """
    if hp is None or (isinstance(hp, str) and "," not in hp):
        return None
    names = tuple(name.strip() for name in (hp.split(",") if isinstance(hp, str) else hp))
    if not all(names):
        raise SweepError(f"hyperparameters must be column names parted by commas, but got {hp!r}")
    return names


def several_hps(table: RawTable, names: Sequence[str]) -> SeveralHps:
    """Finds the columns of several hyperparameters.

    Raises:
        SweepError: one is unknown, named twice, no column of numbers, or all have runs at zero.
    """
    columns = tuple(find(table, name, "hp") for name in names)
    if len(set(columns)) < len(columns):
        raise SweepError(f"hyperparameters must be different columns, but got {', '.join(names)}")
    with_zero = []
    for name, column in zip(names, columns, strict=True):
        values, strange = floats(table.columns[column])
        if strange.any():
            row = int(np.flatnonzero(strange)[0])
            cell = shown(table.columns[column][row])
            raise SweepError(f"{name} must be a number, but {table.place(row)} has {name}={cell}")
        if len(names) > 1 and hp_logarithm(column) != "linear":
            raise SweepError(
                f"of several hyperparameters each must be given itself, but {name} is a logarithm"
            )
        with_zero.append(bool((values == 0).any()))
    if all(with_zero):
        raise SweepError(
            f"of several hyperparameters one must be positive in every run, but {', '.join(names)} all have "
            f"runs at 0"
        )
    return SeveralHps(tuple(names), columns, with_zero.index(False))
