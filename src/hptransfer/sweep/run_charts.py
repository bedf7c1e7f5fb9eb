"""A chart as W&B exports it: a column of steps, and a column for every run, `NAME - val/loss`."""

from __future__ import annotations

import re
from dataclasses import replace

from hptransfer.sweep.curves import loss_of_curve
from hptransfer.sweep.names import loss_rank
from hptransfer.sweep.options import ReadOptions
from hptransfer.sweep.raw_table import RawColumn, RawTable, make_table
from hptransfer.sweep.runs import has_steps
from hptransfer.sweep.values import number
from hptransfer.words import plural

HEAD = re.compile(r"(?P<run>.+) - (?P<metric>.+?)")
ENDS = ("__MIN", "__MAX")  # of the columns beside each run's own


def runs_of_chart(table: RawTable, options: ReadOptions) -> RawTable:
    """A chart of losses as a table with a row for every run; any other table as it is."""
    heads = {
        column: match for column in table.columns
        if not column.endswith(ENDS) and (match := HEAD.fullmatch(column)) and loss_rank(match["metric"])
    }  # fmt: skip
    if (
        len(heads) < 2
        or len({match["metric"] for match in heads.values()}) > 1
        or not has_steps(table.columns)
    ):
        return table
    curves = {match["run"]: _curve(table.columns[column]) for column, match in heads.items()}
    metric = next(iter(heads.values()))["metric"]
    filled = {run: curve for run, curve in curves.items() if curve}
    columns: dict[str, RawColumn] = {
        "run": list(filled),
        metric: [loss_of_curve(curve, options.take) for curve in filled.values()],
    }
    runs = plural(len(filled), "run")
    note = f"{table.names[0]} is read as a chart of {runs}; --take says which value of each"
    found = make_table(columns, table.names[0], range(1, len(filled) + 1))
    return replace(found, source=table.source, notes=(*table.notes, note), of_runs=True)


def _curve(cells: RawColumn) -> list[float]:
    """The values of a run, without the steps at which it logged none."""
    filled = [cell for cell in cells if not (cell is None or (isinstance(cell, str) and not cell.strip()))]
    return [value for cell in filled if (value := number(cell)) is not None]
