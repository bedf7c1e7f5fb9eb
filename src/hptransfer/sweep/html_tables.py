"""The tables of an HTML page, as pandas and browsers write them."""

from __future__ import annotations

import re
from html.parser import HTMLParser

PAGE = re.compile(r"\s*<(?:!doctype|html|head|body|table|div|style)\b", re.IGNORECASE)
MOST_SPAN = 1000  # columns or rows of one cell


class _Tables(HTMLParser):
    """Cells by table and row; a cell that spans columns stands in each of them."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.numbers: list[list[int]] = []
        self._cell: list[str] | None = None
        self._span = 1

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("tr", "td", "th"):
            self._close()  # a browser does not ask for the end of a cell
        if tag == "table":
            self.tables.append([])
            self.numbers.append([])
        elif tag == "tr" and self.tables:
            self.tables[-1].append([])
            self.numbers[-1].append(self.getpos()[0])
        elif tag in ("td", "th"):
            span = dict(attrs).get("colspan") or "1"
            self._cell, self._span = [], min(int(span), MOST_SPAN) if span.isdecimal() else 1

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th", "tr", "table"):
            self._close()

    def _close(self) -> None:
        if self._cell is not None and self.tables and self.tables[-1]:
            self.tables[-1][-1].extend([" ".join("".join(self._cell).split())] * self._span)
            self._cell = None


def largest_table(text: str) -> tuple[list[list[str]], list[int]] | None:
    """The rows of a page's table with the most rows, and the line of each; None where there is none."""
    parser = _Tables()
    parser.feed(text)
    best = max(range(len(parser.tables)), key=lambda i: len(parser.tables[i]), default=None)
    if best is None or len(parser.tables[best]) < 2:
        return None
    return parser.tables[best], parser.numbers[best]
