"""A page of the documentation, written by a script: words, tables of numbers and figures."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from io import StringIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hptransfer.quantify.result import Estimate
from hptransfer.report import charts, number_format, palette, plotly_backend
from papers.data import ROOT, Draws

DOCS = ROOT / "docs" / "papers"
NOTICE = "<!-- Written by `make paper` from benchmarks/papers/tables: edit the scripts, not this page. -->"
KALRA = "arXiv:2605.21486"
LINGLE = "arXiv:2404.05728"

Cell = str | float | int | Estimate | Draws | None


@dataclass
class Page:
    """One question. What is not run yet says so."""

    name: str  # of its file
    title: str
    folder: Path = field(default_factory=lambda: DOCS)  # where it is written
    lines: list[str] = field(default_factory=list)

    def text(self, *paragraphs: str) -> None:
        """Paragraphs of Markdown."""
        self.lines += [line for paragraph in paragraphs for line in (paragraph, "")]

    def head(self, title: str) -> None:
        """A section."""
        self.text(f"## {title}")

    def claim(self, source: str, *claims: str) -> None:
        """What a paper says, with where it says it."""
        self.head("The claim")
        self.text(*(f"> {claim} ({source})" for claim in claims))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
        """A table; numbers with intervals are written to the digits that these allow."""
        body = ["| " + " | ".join(_shown(cell) for cell in row) + " |" for row in rows]
        self.text("\n".join(["| " + " | ".join(columns) + " |", "| --- " * len(columns) + "|", *body]))

    def figure(self, figure: Figure, name: str, caption: str) -> None:
        """A figure as SVG, the same bytes for the same data."""
        path = self.folder / "images" / f"{name}.svg"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = StringIO()
        with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
            figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None}, bbox_inches="tight")
        path.write_text("\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n")
        self.text(f"![{caption}](images/{name}.svg)", f"*{caption}*")

    def interactive(self, panel: charts.Panel, name: str, caption: str, filters: dict[str, str]) -> None:
        """A figure that answers the pointer, in a frame of its own; `filters` are labels by tag."""
        path = self.folder / "figures" / f"{name}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_interactive(plotly_backend.panel(panel), caption, filters))
        place = f'style="width:100%;height:34rem;border:0" title="{escape(caption, quote=True)}"'
        self.text(
            f'<iframe src="../figures/{name}.html" {place}></iframe>',
            f"*{caption}* [The figure alone](figures/{name}.html).",
        )

    def write(self) -> Path:
        """The file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{self.name}.md"
        path.write_text("\n".join([f"# {self.title}", "", NOTICE, "", *self.lines]).rstrip() + "\n")
        return path


def interval(item: Estimate | Draws | None) -> str:
    """`value [low, high]` to the digits that the interval allows."""
    if isinstance(item, Draws):
        item = Estimate(item.value, *item.interval)
    return number_format.estimate(item)


def _shown(cell: Cell) -> str:
    match cell:
        case Estimate() | Draws() | None:
            return interval(cell)
        case str():
            return cell
        case int():
            return f"{cell:,}"
    return number_format.number(cell)


def axes_of(
    columns: int = 1, rows: int = 1, *, width: float = 7.0, height: float = 3.0
) -> tuple[Figure, Any]:
    """A quiet figure and its axes, [rows, columns]."""
    figure = Figure(figsize=(width, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for each in axes.ravel():
        for side in ("top", "right"):
            each.spines[side].set_visible(False)
        each.tick_params(labelsize=8, colors=palette.INK)
        each.xaxis.set_major_locator(MaxNLocator(5))
    return figure, axes


def forest(
    axes: Axes, labels: Sequence[str], series: Sequence[tuple[str, str, Sequence[Estimate | None]]]
) -> None:
    """Estimates with their intervals, a row a label; `series` are name, colour and one estimate a label."""
    gap = 0.7 / len(series)
    for i, (name, colour, items) in enumerate(series):
        known = [(k, item) for k, item in enumerate(items) if item is not None and item.value is not None]
        y = np.array([-k - (i - (len(series) - 1) / 2) * gap for k, _ in known])
        x = np.array([item.value for _, item in known], dtype=float)
        ends = charts.error_bars([item for _, item in known])
        axes.errorbar(
            x, y, xerr=ends if len(known) else None, fmt="o", ms=3.5, lw=1, color=colour, label=name
        )
    axes.axvline(0, lw=0.8, color=palette.HAIR, zorder=0)
    axes.set_yticks([-k for k in range(len(labels))], labels)


def legend_below(figure: Figure, axes: Axes) -> None:
    """One legend for all panels."""
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False, fontsize=8
    )


def _interactive(panel: dict[str, Any], caption: str, filters: dict[str, str]) -> str:
    """A page with one panel and its filters; plotly.js lies beside it when the site is built."""
    data = json.dumps(panel, allow_nan=False, separators=(",", ":"), default=float).replace("<", "\\u003c")
    metas = [trace.get("meta", {}) for trace in panel["data"]]
    forms = "".join(
        _filter(key, label, [meta.get(key, "") for meta in metas]) for key, label in filters.items()
    )
    return TEMPLATE.format(caption=escape(caption), filters=forms, data=data)


def _filter(key: str, label: str, values: Sequence[str]) -> str:
    """A choice of one value or all."""
    each = "".join(f"<option>{escape(value)}</option>" for value in dict.fromkeys(values) if value)
    return (
        f'<label>{escape(label)} <select name="{key}"><option value="">all</option>{each}</select></label> '
    )


TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{caption}</title>
<style>body {{ margin: 0; font: 14px sans-serif; background: #fff; color: #1c1c1c }}
main {{ display: flex; flex-direction: column; height: 100vh }}
h1 {{ position: absolute; clip-path: inset(50%) }}
#plot {{ flex: 1; min-height: 0 }} label {{ margin: 0.5rem }}</style>
</head>
<body>
<main>
<h1>{caption}</h1>
<form>{filters}</form>
<div id="plot"></div>
</main>
<script type="application/json" id="panel">{data}</script>
<script src="plotly-cartesian.min.js"></script>
<script>
const panel = JSON.parse(document.getElementById("panel").textContent), form = document.querySelector("form");
Plotly.newPlot("plot", panel.data, panel.layout, {{ displayModeBar: false, responsive: true }});
form.addEventListener("change", () => {{
  const wanted = [...form.elements].filter((choice) => choice.value);
  const shown = panel.data.map((trace) => wanted.every((c) => (trace.meta || {{}})[c.name] === c.value));
  Plotly.restyle("plot", {{ visible: shown }});
}});
</script>
</body>
</html>
"""
