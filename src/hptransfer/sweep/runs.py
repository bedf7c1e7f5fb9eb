"""A logged run: its settings, its last values, and its curves; many of them as a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hptransfer.sweep.curves import loss_of_curve
from hptransfer.sweep.names import STEPS, hp_rank, joined, loss_rank, rank
from hptransfer.sweep.raw_table import RawTable, columns_of, flatten, make_table
from hptransfer.sweep.values import number

Curves = dict[str, list[float]]  # by metric, its values in the order of their steps


@dataclass
class LoggedRun:
    """What a logger kept of one run."""

    name: str  # of the run, a path within its folder for instance
    values: dict[str, Any] = field(default_factory=dict)  # settings and last values, which may nest
    curves: Curves = field(default_factory=dict)

    def record(self, take: str | None) -> dict[str, Any]:
        """The run as one row: of each curve of a loss what `take` says, of a learning rate's its peak."""
        record = {"run": self.name, **dict(flatten(self.values))}
        for metric, curve in self.curves.items():
            if not curve:
                continue
            is_rate = (place := hp_rank(metric)) is not None and place[0] < 4
            if is_rate and metric in record:
                continue
            key = f"metrics.{metric}" if isinstance(record.get(metric), str) else metric
            record[key] = max(curve) if is_rate else loss_of_curve(curve, take if loss_rank(metric) else None)
        return record


def table_of_runs(runs: Iterable[LoggedRun], name: str, take: str | None) -> RawTable:
    """A table with a row for every run.

    Raises:
        SweepError: where there is none.
    """
    records = [run.record(take) for run in runs]
    return replace(make_table(columns_of(records), name, range(1, len(records) + 1)), of_runs=True)


def curves_of(records: Sequence[Mapping[str, Any]]) -> Curves:
    """The curves in rows that were logged one after the other; a row need not have every metric."""
    curves: Curves = {}
    for record in records:
        for metric, cell in flatten(record):
            value = None if cell is None or cell == "" else number(cell)
            if value is not None:
                curves.setdefault(metric, []).append(value)
    return curves


def has_steps(names: Iterable[str]) -> bool:
    """Whether rows are those of steps or epochs of one run, by the names of their columns."""
    return any(rank(name, (" ".join(STEPS),)) is not None or joined(name) == "trainingstep" for name in names)
