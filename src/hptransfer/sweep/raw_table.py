"""Raw table: cells by column as they stand in the source, each row with its place there, for errors."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, compress
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hptransfer.errors import SweepError
from hptransfer.sweep.guards import is_readable
from hptransfer.sweep.names import base_name
from hptransfer.sweep.table import FloatArray, Source
from hptransfer.sweep.values import number

# Cells of one column, top to bottom; an array of numbers where a large file is read.
RawColumn: TypeAlias = list[Any] | FloatArray

NESTING = 6  # levels of nested objects that become dotted column names


@dataclass(frozen=True, eq=False)
class RawTable:
    """Raw columns as they stand in the source."""

    columns: Mapping[str, RawColumn]  # cells by column name, each of length [rows]
    row: NDArray[np.int64]  # number of each row in its source, as the user counts there, shape [rows]
    # Name of the source of each row (a file's path), as an index into `names`, shape [rows].
    origin: NDArray[np.int64]
    names: tuple[str, ...]  # the sources
    source: Source = field(default_factory=Source)  # path and hash, for the result's provenance
    notes: tuple[str, ...] = ()  # how it was read, where that is not plain
    of_runs: bool = False  # whether each row is known to be a run, and none a step of one

    def __len__(self) -> int:
        return int(self.row.size)

    def place(self, index: int) -> str:
        """Where the user finds row `index`, for an error."""
        return f"row {self.row[index]} of {self.names[self.origin[index]]}"

    def keep(self, mask: NDArray[np.bool_]) -> RawTable:
        """The rows of a mask of shape [rows]."""
        columns = {name: _compress(cells, mask) for name, cells in self.columns.items()}
        return replace(self, columns=columns, row=self.row[mask], origin=self.origin[mask])


def _compress(cells: RawColumn, mask: NDArray[np.bool_]) -> RawColumn:
    return cells[mask] if isinstance(cells, np.ndarray) else list(compress(cells, mask))


def make_table(columns: Mapping[str, RawColumn], name: str, rows: Sequence[int] | None = None) -> RawTable:
    """A table of one source.

    Args:
        columns: cells by column name, of length [rows]; nested objects are spread over dotted columns.
        name: of the source, for errors.
        rows: number of each row in its source, shape [rows]; default 0, 1, ...

    Raises:
        SweepError: where the columns differ in length or there is no row.
    """
    lengths = {len(cells) for cells in columns.values()}
    if len(lengths) > 1:
        raise SweepError(f"columns must be of equal length, but {name} has lengths {sorted(lengths)}")
    count = lengths.pop() if lengths else 0
    if count == 0:
        raise SweepError(f"a sweep table needs at least one run, but {name} has no rows")
    row = np.arange(count) if rows is None else np.asarray(rows, dtype=np.int64)
    return RawTable(expand(columns), row, np.zeros(count, dtype=np.int64), (name,))


def concat(tables: Sequence[RawTable]) -> RawTable:
    """Tables one after the other; a column that one of them lacks is blank there."""
    if len(tables) == 1:
        return tables[0]
    names = dict.fromkeys(name for table in tables for name in table.columns)
    columns: dict[str, RawColumn] = {
        name: list(chain.from_iterable(table.columns.get(name, [None] * len(table)) for table in tables))
        for name in names
    }
    row = np.concatenate([table.row for table in tables])
    firsts = np.cumsum([0, *(len(table.names) for table in tables)])
    origin = np.concatenate([t.origin + first for t, first in zip(tables, firsts, strict=False)])
    notes = tuple(dict.fromkeys(note for table in tables for note in table.notes))
    origins = tuple(name for table in tables for name in table.names)
    of_runs = all(table.of_runs for table in tables)
    return RawTable(columns, row, origin, origins, tables[0].source, notes, of_runs)


def expand(columns: Mapping[str, RawColumn]) -> dict[str, RawColumn]:
    """Columns with nested objects (W&B's config and summary) spread over dotted columns: config.lr."""
    spread: dict[str, RawColumn] = {}
    for name, cells in columns.items():
        kinds = set() if isinstance(cells, np.ndarray) else set(map(type, cells))
        if any(issubclass(kind, Mapping) for kind in kinds):
            spread.update(columns_of([{name: cell} for cell in cells]))
        else:
            spread[name] = cells
    return spread


def columns_of(records: Sequence[Mapping[str, Any]]) -> dict[str, RawColumn]:
    """Records, which may nest and need not agree in their keys, as columns; None where a key is missing."""
    flat = [dict(flatten(record)) for record in records]
    names = dict.fromkeys(name for record in flat for name in record)
    return {name: [record.get(name) for record in flat] for name in names}


def flatten(record: Mapping[Any, Any], prefix: str = "", depth: int = 1) -> Iterable[tuple[str, Any]]:
    """The values of a record that may nest, under dotted names."""
    for key, value in record.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and depth < NESTING:
            yield from flatten(value, f"{name}.", depth + 1)
        else:
            yield name, value


def candidates(table: RawTable, name: str) -> list[str]:
    """The table's columns that may be what the user calls `name`, from the best kind of match.

    A column of that very name wins; then one nested under a prefix of a run table (`config.lr`,
    `summary.loss`, `params_lr`, `config.lr.value`); then one that differs in upper and lower case only; then
    the last part of a dotted name (`model.width`).
    """
    if name in table.columns:
        return [name]
    low = name.lower()
    for key in (
        base_name,
        lambda column: base_name(column).lower(),
        lambda column: column.lower().split(".")[-1],
    ):
        wanted = name if key is base_name else low
        if found := [column for column in table.columns if key(column) == wanted]:
            return found
    return []


def find(table: RawTable, name: str, what: str) -> str:
    """The table's own name for the column that the user calls `name`.

    Args:
        table: to look in.
        name: as the user says it; see `candidates`.
        what: the column is needed for (scale, hp, loss ...), for errors.

    Raises:
        SweepError: where there is none, or several; the text names what was found.
    """
    match candidates(table, name):
        case [column]:
            return column
        case []:
            raise SweepError(
                f"no column {name!r} ({what}) in {table.names[0]}{closest(name, table)}; columns: "
                f"{listed(table)}"
            )
        case several:
            raise SweepError(
                f"column {name!r} ({what}) could be {' or '.join(map(repr, several))}; name one of them"
            )


def closest(name: str, table: RawTable) -> str:
    """A question that names the column most like a name, for an error; empty where none is."""
    short = {column[:80].lower(): column for column in reversed(own_columns(table)[:500])}
    match = difflib.get_close_matches(name[:80].lower(), short, n=1)
    return f"; did you mean {short[match[0]]!r}?" if match else ""


def own_columns(table: RawTable) -> list[str]:
    """The columns that the source itself has: without `file`, which reading adds."""
    return [c for c, cells in table.columns.items() if c and c != "file" and is_readable(cells)]


def listed(table: RawTable, most: int = 12) -> str:
    """The table's columns, for an error."""
    names = [shown(column) for column in own_columns(table)]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def shown(value: object, most: int = 40) -> str:
    """A cell or a name for an error text: one line, not too long."""
    text = value if isinstance(value, str) and value.isprintable() and value else repr(value)
    return text if len(text) <= most else text[: most - 3] + "..."


def floats(cells: RawColumn, labelled: bool = False) -> tuple[FloatArray, NDArray[np.bool_]]:
    """RawColumn as numbers, and which of them are none.

    Args:
        cells: of one column.
        labelled: whether letters may stand before a number, as in d128.

    Returns:
        Values of shape [rows], NaN where blank, and a mask of shape [rows] of the cells that are neither
        a number nor blank.
    """
    if isinstance(cells, np.ndarray) and cells.dtype.kind == "f":
        return cells, np.zeros(len(cells), dtype=np.bool_)
    kinds = set(map(type, cells))
    if kinds <= {float, int} or kinds == {str}:
        try:
            return np.array(cells, dtype=np.float64), np.zeros(len(cells), dtype=np.bool_)
        except (ValueError, OverflowError):
            pass
    known: dict[str, float | None] = {}  # a text that is no plain number is looked at once
    values = [_number(cell, labelled, known) for cell in cells]
    bad = np.array([value is None for value in values], dtype=np.bool_)
    return np.array(values, dtype=np.float64), bad


def _number(cell: Any, labelled: bool, known: dict[str, float | None]) -> float | None:
    if not isinstance(cell, str):
        return number(cell, labelled)
    try:
        return float(cell)
    except ValueError:
        if cell not in known:
            known[cell] = number(cell, labelled)
        return known[cell]


def texts(cells: RawColumn) -> list[str]:
    """RawColumn as labels: whole numbers without a point, nothing for a blank."""
    if isinstance(cells, np.ndarray):
        levels, index = np.unique(cells, return_inverse=True)
        labels = [_text(level) for level in levels.tolist()]
        return [labels[i] for i in index.tolist()]
    if set(map(type, cells)) == {str}:
        return [cell.strip() for cell in cells]
    return [_text(cell) for cell in cells]


def level_keys(cells: RawColumn) -> RawColumn:
    """Keys that are equal where cells are: numbers as they are, else their labels."""
    return cells if isinstance(cells, np.ndarray) else texts(cells)


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float | np.floating):
        return "" if np.isnan(cell) else f"{cell:.15g}"
    return str(cell).strip()
