"""What a notebook shows of a fit: tables as HTML, figures as pictures, long texts not at all."""

from __future__ import annotations

import io
from html import escape

from matplotlib.figure import Figure

from hptransfer.quantify.result import SweepFit
from hptransfer.report import sentences, table_data
from hptransfer.report.terminal import summary_tables

MOST = 20  # variants shown; the rest is counted


class InlineFigure(Figure):
    """A figure that a notebook shows as a picture, whether or not pyplot is in use."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=100)
        return file.getvalue()


class QuietText(str):
    """A long text, such as a page, that the last line of a cell does not echo."""

    __slots__ = ()

    def _ipython_display_(self) -> None:
        """Shows nothing."""

    def _mime_(self) -> tuple[str, str]:
        """Shows nothing in marimo."""
        return "text/plain", ""


def fit_html(fit: SweepFit) -> str:
    """The summary of a fit as HTML tables, without styles or scripts of its own."""
    variants = tuple(fit.variants.values())[:MOST]
    parts = [f"<p><b>{escape(sentences.headline(fit))}</b><br>{escape(sentences.extent(fit))}</p>"]
    parts += [_table(table) for table in summary_tables(fit, variants)]
    parts += [f"<p>{escape(note)}</p>" for note in fit.sweep.notes]
    if omitted := sentences.omitted(fit, len(variants), "shown"):
        parts.append(f"<p>{escape(omitted)}</p>")
    return "\n".join(parts)


def _table(table: table_data.Table) -> str:
    head = "".join(f"<th>{escape(column.title)}</th>" for column in table.columns)
    rows = "".join(
        "<tr>"
        + "".join(f"<td>{escape(_cell(c, cell))}</td>" for c, cell in zip(table.columns, row, strict=True))
        + "</tr>"
        for row in table.rows
    )
    note = f"<p>{escape(table.note)}</p>" if table.note else ""
    body = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>" if table.rows else ""
    return f"<p><b>{escape(table.title)}</b></p>{body}{note}"


def _cell(column: table_data.Column, cell: table_data.Cell) -> str:
    return ", ".join(map(str, cell)) if isinstance(cell, tuple) else table_data.cell_text(column, cell)
