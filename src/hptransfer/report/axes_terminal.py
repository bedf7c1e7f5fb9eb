"""The summary of a fit over several axes, for the terminal."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import islice

from rich.console import Console
from rich.table import Table as RichTable

from hptransfer.quantify.axes.result import AxesFit
from hptransfer.report import axes_tables
from hptransfer.report.table_data import Table
from hptransfer.report.terminal import as_text, print_table


def print_axes(fit: AxesFit, console: Console | None = None, *, limit: int = 20) -> None:
    """Print what the fit says: answers, predictions, exponents, rules, hold-outs, optima, flags.

    Args:
        fit: the result of `quantify` over several axes.
        console: where to print; the terminal by default.
        limit: variants shown; the rest is counted and left to the JSON.
    """
    out = console or Console()
    variants = tuple(islice(fit.variants.values(), limit))
    notes = axes_tables.flag_notes(variants)
    footnotes = {flag: i for i, (flag, *_) in enumerate(notes, start=1)}
    out.print(as_text(axes_tables.headline(fit), out, "bold"))
    out.print(as_text(axes_tables.extent(fit), out))
    out.print()
    for table in axes_tables.every_table(fit, variants):
        print_table(narrowed(table, len(variants) > 1), out, footnotes)
    if notes:
        out.print(as_text("Flags", out, "bold"))
        grid = RichTable.grid(padding=(0, 1))
        for i, (flag, meaning, places) in enumerate(notes, start=1):
            grid.add_row(f"  {i}", as_text(f"{flag}: {meaning}. [{places}]", out))
        out.print(grid)
        out.print()
    if len(fit.variants) > limit:
        out.print(
            as_text(f"{len(fit.variants) - limit} more variants are not shown; the JSON holds them.", out)
        )


def narrowed(table: Table, many: bool) -> Table:
    """The table without the column of the variant where there is but one."""
    if many or len(table.columns) < 3 or table.columns[0].title != "variant":
        return table
    return replace(table, columns=table.columns[1:], rows=tuple(row[1:] for row in table.rows))


def axes_text(fit: AxesFit, width: int = 80, *, limit: int = 20) -> str:
    """The summary as plain text, `width` characters wide."""
    buffer = io.StringIO()
    console = Console(file=buffer, width=width, color_system=None, legacy_windows=False, force_jupyter=False)
    print_axes(fit, console, limit=limit)
    return buffer.getvalue()
