"""Rows of cells as a table: which row is the head, decimal commas, rows of another length."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

from hptransfer.errors import SweepError
from hptransfer.sweep.heads import Row, filled_down, is_blank, with_one_head, with_row_names
from hptransfer.sweep.options import ReadOptions
from hptransfer.sweep.raw_table import RawTable, make_table, shown
from hptransfer.sweep.values import has_decimal_commas, number, with_points


def from_rows(rows: Sequence[Row], numbers: Sequence[int], name: str, options: ReadOptions) -> RawTable:
    """A table of rows of cells, of which the first with two filled cells is the head.

    Args:
        rows: cells, as texts or values.
        numbers: of each row in its source.
        name: of the source, for errors.
        options: of the user.

    Raises:
        SweepError: where there is no head, no row under it, or a row of another length.
    """
    filled = [sum(not is_blank(cell) for cell in row) for row in rows]
    first = next((i for i, count in enumerate(filled) if count > 1), 0)
    lines = with_one_head([(numbers[i], rows[i]) for i in range(first, len(rows)) if filled[i]])
    header = _trimmed([str("" if cell is None else cell).strip() for cell in lines[0][1]])
    if len(header) > 1 and all(cell and number(cell) is not None for cell in header):
        raise SweepError(
            f"{name} must begin with a line of column names, such as width,lr,loss, but row "
            f"{lines[0][0]} is "
            f"{shown(','.join(header))}"
        )
    header = with_row_names(header, [row for _, row in lines[1:]])
    body = [_fitted(row, len(header), line, name) for line, row in lines[1:]]
    if not body:
        raise SweepError(f"a sweep table needs at least one run, but {name} has a header and no rows")
    check_unique(header, name)
    body, down = filled_down(header, body)
    notes = tuple(f"{name}: blank cells of {shown(column)} are those above them" for column in down)
    if options.decimal == "," or (options.decimal is None and has_decimal_commas(chain(header, *body))):
        header, body = (
            [with_points(cell) for cell in header],
            [[with_points(cell) for cell in row] for row in body],
        )
        if options.decimal is None:
            notes += (f"{name}: commas are read as decimal points; --decimal . reads thousands",)
    columns = {column: list(cells) for column, cells in zip(header, zip(*body, strict=True), strict=True)}
    return replace(make_table(columns, name, [line for line, _ in lines[1:]]), notes=notes)


def check_unique(header: Sequence[str], name: str) -> None:
    """Refuse two columns of one name.

    Raises:
        SweepError: there are two.
    """
    twice = [column for column, count in Counter(header).items() if count > 1 and column]
    if twice:
        raise SweepError(f"column names must be unique, but {name} has {shown(twice[0])} more than once")


def _trimmed(cells: Row) -> Row:
    """Without the blank cells at its end."""
    last = max((i for i, cell in enumerate(cells) if not is_blank(cell)), default=-1)
    return cells[: last + 1] if last + 1 < len(cells) else cells


def _fitted(row: Row, width: int, number: int, name: str) -> Row:
    """A row with as many cells as the head has."""
    if len(row) > width:
        row = row[:width] + _trimmed(row[width:])
    if len(row) != width:
        raise SweepError(
            f"every row must have as many fields as the header, but row {number} of {name} has "
            f"{len(row)} and the "
            f"header {width}"
        )
    return row
