"""Tables for the terminal: a summary that reads well at 80 columns, with and without colour."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice

from rich.box import Box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from hptransfer.quantify.result import SweepFit, VariantFit
from hptransfer.report import flags, sentences, table_data

# A rule under the head and nothing else, in ASCII: the same in a terminal, a pipe and a log file.
_RULE = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
_STYLES = {"yes": "green", "no": "red", "not known": "yellow"}
_LEFT_KINDS = ("text", "prose", "flags")
_GAP = 2  # characters between columns
_LONGEST_NAME = 28  # a longer name of a variant folds


def print_summary(fit: SweepFit, console: Console | None = None, *, limit: int = 20) -> None:
    """Print what the fit says: the answers and why, predictions, hold-out check, metrics, optima, flags.

    Args:
        fit: the result of `quantify`.
        console: where to print; the terminal by default.
        limit: variants shown; the rest is counted and left to the JSON.
    """
    out = console or Console()
    variants = tuple(islice(fit.variants.values(), limit))
    footnotes = {flag: i for i, (flag, *_) in enumerate(_flag_notes(fit, variants), start=1)}
    out.print(as_text(sentences.headline(fit), out, "bold"))
    out.print(as_text(sentences.extent(fit), out))
    out.print()
    for table in summary_tables(fit, variants):
        print_table(table, out, footnotes)
    print_flags(fit, variants, out)
    if omitted := sentences.omitted(fit, len(variants), "shown"):
        out.print(as_text(omitted, out))


def summary_text(fit: SweepFit, width: int = 80, *, limit: int = 20) -> str:
    """The summary as plain text.

    Args:
        fit: the result of `quantify`.
        width: characters of a line.
        limit: variants shown; the rest is counted and left to the JSON.
    """
    buffer = io.StringIO()
    print_summary(
        fit,
        # In a notebook rich would show the text instead of writing it.
        Console(file=buffer, width=width, color_system=None, legacy_windows=False, force_jupyter=False),
        limit=limit,
    )
    return buffer.getvalue()


def summary_tables(fit: SweepFit, variants: Sequence[VariantFit]) -> tuple[table_data.Table, ...]:
    """The tables of the summary in reading order, each narrow enough for 80 columns."""
    columns, main = fit.sweep.columns, table_data.main_metrics(fit)
    drift = tuple(name for name in main if name.startswith("drift") or name == "E_hp")
    rest = tuple(name for name in main if name not in (*drift, "R_n"))
    moves = f"Drift, octaves of {columns.hp} per octave of {columns.scale}"
    return (
        table_data.answers(fit, variants),
        table_data.reasons(fit, variants),
        table_data.predictions(fit, variants),
        table_data.holdouts(fit, variants),
        table_data.largest(fit, variants),
        table_data.metrics(fit, variants, drift, moves),
        table_data.metrics(fit, variants, rest, "Metrics"),
        table_data.optima(fit, variants),
    )


def print_table(
    table: table_data.Table, console: Console, footnotes: Mapping[str, int] | None = None
) -> None:
    """Print one table: title, head, rule, rows; or its title and why there is nothing to show.

    Flags with a footnote are written as its number, others by name.
    """
    console.print(as_text(table.title, console, "bold"))
    for i, part in enumerate(split_to_width(table, console.width) if table.rows else ()):
        if i:
            console.print()
        console.print(render(part, console, footnotes or {}))
    if table.note:
        console.print(Padding(as_text(table.note, console), (0, 0, 0, 2)))
    console.print()


def split_to_width(table: table_data.Table, width: int) -> list[table_data.Table]:
    """The table cut into tables no wider than `width`, each with the columns that name the row.

    A column of flags that no row uses is left out; a column of prose folds, so it is never cut off.
    """
    columns = table.columns
    used = [i for i, c in enumerate(columns) if c.kind != "flags" or any(row[i] for row in table.rows)]
    if any(c.kind == "prose" for c in columns):
        return [_select(table, used)]
    keys = [i for i in used[:2] if i == 0 or columns[i].kind == "scale"]
    wide = {i: _GAP + _width(table, i) for i in used}
    room = width + _GAP - sum(min(wide[i], _GAP + _LONGEST_NAME) for i in keys)
    groups: list[list[int]] = [[]]
    for i in used[len(keys) :]:
        if groups[-1] and sum(wide[j] for j in groups[-1]) + wide[i] > room:
            # Flags never stand alone: the column before them moves along.
            groups.append([groups[-1].pop()] if columns[i].kind == "flags" and len(groups[-1]) > 1 else [])
        groups[-1].append(i)
    return [_select(table, keys + group) for group in groups]


def _width(table: table_data.Table, i: int) -> int:
    """Characters a column needs; flags are drawn as a few footnote numbers."""
    column = table.columns[i]
    if column.kind == "flags":
        return len(column.title)
    return max(len(column.title), *(len(table_data.cell_text(column, row[i])) for row in table.rows))


def render(table: table_data.Table, console: Console, footnotes: Mapping[str, int]) -> RichTable:
    """A rich table of the cells as plain text."""
    drawn = RichTable(box=_RULE, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False, header_style="dim")
    for i, column in enumerate(table.columns):
        drawn.add_column(
            as_text(column.title, console),
            justify="left" if column.kind in _LEFT_KINDS else "right",
            no_wrap=i > 0 and column.kind != "prose",
            overflow="fold",
            min_width=len(column.title) if i == 0 else None,
            max_width=_LONGEST_NAME if i == 0 else None,
        )
    for row in table.rows:
        cells = (_cell(column, cell, footnotes) for column, cell in zip(table.columns, row, strict=True))
        drawn.add_row(*(as_text(cell, console, _STYLES.get(cell, "")) for cell in cells))
    return drawn


def print_flags(fit: SweepFit, variants: Sequence[VariantFit], console: Console) -> None:
    """Explain under the tables every flag that was raised, and where."""
    notes = _flag_notes(fit, variants)
    if not notes:
        return
    console.print(as_text("Flags", console, "bold"))
    grid = RichTable.grid(padding=(0, 1))
    for i, (flag, meaning, places) in enumerate(notes, start=1):
        line = f"{flag}: {meaning}. [{places}]" if meaning != flag else f"{flag} [{places}]"
        grid.add_row(f"  {i}", as_text(line, console))
    console.print(grid)
    console.print()


def _flag_notes(fit: SweepFit, variants: Sequence[VariantFit]) -> list[tuple[str, str, str]]:
    return flags.flag_notes(variants, fit.sweep.columns.scale, table_data.main_metrics(fit))


def _select(table: table_data.Table, kept: list[int]) -> table_data.Table:
    rows = tuple(tuple(row[i] for i in kept) for row in table.rows)
    return replace(table, columns=tuple(table.columns[i] for i in kept), rows=rows)


def _cell(column: table_data.Column, cell: table_data.Cell, footnotes: Mapping[str, int]) -> str:
    if isinstance(cell, tuple):
        return ",".join(str(footnotes[flag]) if flag in footnotes else flag for flag in cell)
    return table_data.cell_text(column, cell)


def as_text(text: str, console: Console, style: str = "") -> Text:
    """User text as it is (never read as rich markup), in characters the console's encoding has."""
    return Text(text.encode(console.encoding, "replace").decode(console.encoding), style=style)
