"""Figures on the page: empty panels that the script fills, their choices and filters, and the key."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from itertools import zip_longest

from hptransfer.report import charts

_MARKS: dict[charts.Symbol, str] = {
    "circle": '<circle cx="9" cy="5" r="{radius}" fill="{colour}"/>',
    "cross": '<path d="M6 2l6 6M12 2l-6 6" stroke="{colour}" stroke-width="1.3"/>',
    "open_up": '<path d="M9 2l3.5 6h-7z" stroke="{colour}" fill="none"/>',
}


def plot(figure: str, label: str, index: int | None = None, *, tall: bool = False) -> str:
    """The place of one panel, which the script draws; without an index, the choices alone say which."""
    panel = "" if index is None else f' data-panel="{index}"'
    return (
        f'<div class="plot{" tall" if tall else ""}" role="img" data-figure="{figure}"{panel} '
        f'aria-label="{escape(label, quote=True)}"></div>'
    )


def alone(plot: str) -> str:
    """A figure of one panel across the page."""
    return f'<figure class="panels one"><div class="panel">{plot}</div></figure>\n'


def variant_panels(
    figure: str, variants: Sequence[str], labels: Sequence[str] = (), notes: Sequence[str] = ()
) -> str:
    """A panel for each variant under its name, side by side; a filter can hide each.

    Args:
        figure: its name in the page's data.
        variants: their names.
        labels: what each panel shows, for those who do not see it; by default its name.
        notes: a sentence above each, empty for none.
    """
    panels = []
    for i, (variant, label, note) in enumerate(zip_longest(variants, labels or variants, notes)):
        remark = f'<p class="no-law">{escape(note)}</p>' if note else ""
        panels.append(
            f'<div class="panel" data-variant="{escape(variant, quote=True)}"><h3>{escape(variant)}</h3>'
            f"{remark}{plot(figure, label, i)}</div>"
        )
    few = {1: " one", 2: " two"}.get(len(panels), "")
    return f'<figure class="panels{few}">{"".join(panels)}</figure>\n'


def choice(key: str, label: str, values: Sequence[str], chosen: int) -> str:
    """A choice by index, which is a part of the panel's key in the page's data; one is chosen at first."""
    options = "".join(
        f'<option value="{i}"{" selected" if i == chosen else ""}>{escape(value)}</option>'
        for i, value in enumerate(values)
    )
    return f'<label>{escape(label)} <select name="{key}">{options}</select></label>'


def filter_by(key: str, label: str, values: Sequence[str]) -> str:
    """A choice of one value or all; nothing where there is no choice."""
    distinct = [value for value in dict.fromkeys(values) if value]
    if len(distinct) < 2:
        return ""
    options = "".join(f'<option value="{escape(v, quote=True)}">{escape(v)}</option>' for v in distinct)
    return f'<label>{label} <select name="{key}"><option value="">all</option>{options}</select></label>'


def controls(figure: str, choices: str) -> str:
    """The form of a figure's choices."""
    return f'<form class="controls" data-for="{figure}">{choices}</form>\n'


def filters(figure: str, choices: str, tags: Mapping[str, Mapping[str, str]]) -> str:
    """The form of the page's filters, above a figure; empty where there is no choice.

    Args:
        figure: its name in the page's data.
        choices: what `filter_by` made.
        tags: by variant, its value of every choice.
    """
    if not choices:
        return ""
    values = escape(json.dumps(tags), quote=True)
    return f'<form class="controls" data-filters="{figure}" data-tags="{values}">{choices}</form>\n'


def key(items: Sequence[charts.KeyItem]) -> str:
    """What colours and symbols mean, in a line above the panels."""
    return f'<ul class="key">{"".join(f"<li>{_swatch(i)}{escape(i.label)}</li>" for i in items)}</ul>\n'


def _swatch(item: charts.KeyItem) -> str:
    if item.symbol is None:
        return ""
    line = f'<path d="M0 5H18" stroke="{item.colour}" stroke-width="{item.line_width}"/>'
    mark = _MARKS[item.symbol].format(colour=item.colour, radius=3.4 if item.line_width > 2 else 2.6)
    shape = f"{line if item.line_width else ''}{mark}"
    return f'<svg width="18" height="10" viewBox="0 0 18 10" aria-hidden="true">{shape}</svg>'
