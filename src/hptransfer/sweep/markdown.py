"""Markdown: every pipe table of a text, each row labelled with the heading above its table."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

from hptransfer.errors import SweepError
from hptransfer.sweep.options import ReadOptions
from hptransfer.sweep.raw_table import RawTable, concat
from hptransfer.sweep.rows import from_rows
from hptransfer.sweep.wide import lengthen

RULE = re.compile(r"^\s*\|?\s*:?-{2,}:?\s*(?:\|\s*:?-{2,}:?\s*)*\|?\s*$")
BORDER = re.compile(r"(?<!\\)\|")
LINK = re.compile(r"!?\[([^\]^][^\]]*)\]\([^)]*\)")
DECORATION = re.compile(r"\*\*|__|~~|`|</?(?:b|i|s|u|em|strong|sub|sup|del|br)\s*/?>|\[\^\w+\]|[†‡§]")
STRUCK = re.compile(r"^\s*(?:~~|<(?:s|del)>)")
SECTION = "section"  # column of the heading above each table


def is_markdown(text: str) -> bool:
    """Whether a text has a pipe table: a line of bars and dashes under one of bars."""
    lines = text[:200_000].splitlines()
    return any("|" in above and "|" in rule and RULE.match(rule) for above, rule in pairwise(lines))


def read_markdown(text: str, name: str, options: ReadOptions) -> RawTable:
    """All pipe tables of a text as one; where there are several, the column `section` has their headings.

    Raises:
        SweepError: where there is none, or one cannot be read.
    """
    lines = text.splitlines()
    rules = [
        i for i, line in enumerate(lines) if i and "|" in line and RULE.match(line) and "|" in lines[i - 1]
    ]
    if not rules:
        raise SweepError(f"{name} must hold a pipe table, a line of | --- | under its heads, but has none")
    tables, struck = [], 0
    for number, rule in enumerate(rules):
        end = next((i for i in range(rule + 1, len(lines)) if "|" not in lines[i]), len(lines))
        places = [rule - 1, *range(rule + 1, end)]
        cells = [_cells(lines[i]) for i in places]
        struck += sum(bool(STRUCK.match(cell)) for row in cells for cell in row)
        rows = [[_plain(cell) for cell in row] for row in cells]
        table = lengthen(from_rows(rows, [i + 1 for i in places], name, options), options)
        label = _heading(lines, rule - 1) or f"table {number + 1}"
        tables.append(replace(table, columns={**table.columns, SECTION: [label] * len(table)}))
    whole = concat(_useful(tables))
    if len({*whole.columns[SECTION]}) == 1:
        whole = replace(whole, columns={key: cells for key, cells in whole.columns.items() if key != SECTION})
    note = (f"{name}: cells that are struck out are read as they stand",) if struck else ()
    return replace(whole, names=(name,), origin=whole.origin * 0, notes=(*whole.notes, *note))


def _useful(tables: list[RawTable]) -> list[RawTable]:
    """The tables with the most usual columns: a README has others beside its sweeps."""
    counts = [len(table.columns.keys() & {"lr", "loss", "width"}) for table in tables]
    heads = [tuple(table.columns) for table in tables]
    best = max(range(len(tables)), key=lambda i: (counts[i], len(tables[i])))
    return [table for table, head in zip(tables, heads, strict=True) if head == heads[best]] or tables


def _cells(line: str) -> list[str]:
    return BORDER.split(line.strip().removeprefix("|").removesuffix("|"))


def _plain(cell: str) -> str:
    return DECORATION.sub("", LINK.sub(r"\1", cell)).replace("\\|", "|").strip().strip("*").strip()


def _heading(lines: list[str], above: int) -> str:
    """The heading, caption or bold line nearest above a table; empty where another table comes first."""
    for line in reversed(lines[:above]):
        if "|" in line:
            return ""
        text = line.strip()
        if (
            text.startswith("#")
            or (text.startswith("**") and text.rstrip(":").endswith("**"))
            or text.endswith(":")
        ):
            return _plain(text.lstrip("# ").rstrip(": "))
    return ""
