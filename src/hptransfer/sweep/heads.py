"""Heads that are more than a line of names: two rows of them, merged cells, names of rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from hptransfer.sweep.names import SCALES, VARIANTS, hp_rank, rank
from hptransfer.sweep.values import number, parse_labelled

Row = list[Any]
TUPLE = re.compile(r"\(\s*[\"']?(.*?)[\"']?\s*,\s*[\"']?(.*?)[\"']?\s*\)")
Lines = list[tuple[int, Row]]  # rows with their numbers in the source; the head comes first


def is_blank(cell: Any) -> bool:
    """Whether nothing stands in a cell."""
    return cell is None or (isinstance(cell, str) and not cell.strip())


def with_one_head(lines: Lines) -> Lines:
    """A table whose head has two rows, groups over their columns, as one with one: a row for every group.

    `SP` and `muP`, each over its learning rates, become a column `variant` beside columns of learning rates.
    Any other table is returned as it is.
    """
    lines = _split_tuples(lines)
    if len(lines) < 3:
        return lines
    width = max(len(row) for _, row in lines[:2])
    top, sub = ([*row, *[None] * (width - len(row))] for _, row in lines[:2])
    groups = _spread(top)
    first = next((i for i in range(1, width - 1) if _same_group(groups, i) and not is_blank(sub[i])), None)
    if first is None or any(not is_blank(cell) and number(cell) is not None for cell in sub[:first]):
        return lines
    last = max(i for i in range(width) if not is_blank(sub[i])) + 1
    pairs = [(str(groups[i]).strip(), str(sub[i]).strip()) for i in range(first, last)]
    if len(set(pairs)) < len(pairs) or any(is_blank(part) for pair in pairs for part in pair):
        return lines
    ids, axes, body = _ids(top, sub, first), ("", ""), lines[2:]
    if _names_ids(body[0][1], first):  # as pandas writes a table of two levels
        ids, axes, body = list(body[0][1][:first]), (str(top[first - 1]), str(sub[first - 1])), body[1:]
    return _stacked(body, ids, pairs, axes, lines[0][0])


def _split_tuples(lines: Lines) -> Lines:
    """Heads such as ('SP', 0.001), as pandas writes two levels in one, as two rows of heads."""
    found = [TUPLE.fullmatch(str(cell).strip()) for cell in lines[0][1]]
    if sum(match is not None for match in found) < 2:
        return lines
    top = [match[1] if match else cell for match, cell in zip(found, lines[0][1], strict=True)]
    sub = [match[2] if match else None for match in found]
    return [(lines[0][0], top), (lines[0][0], sub), *lines[1:]]


def _spread(cells: Row) -> Row:
    """A row with every blank cell as that to its left: a head over several columns stands in the first."""
    out: Row = []
    for cell in cells:
        out.append(out[-1] if is_blank(cell) and out else cell)
    return out


def _same_group(groups: Row, i: int) -> bool:
    return not is_blank(groups[i]) and groups[i] == groups[i + 1]


def _ids(top: Row, sub: Row, first: int) -> Row:
    return [top[i] if is_blank(sub[i]) else sub[i] for i in range(first)]


def _names_ids(row: Row, first: int) -> bool:
    """Whether a row under the heads names the first columns, and has nothing else."""
    names = row[:first]
    empty = all(is_blank(cell) for cell in row[first:])
    return empty and all(not is_blank(cell) and number(cell) is None for cell in names)


def _stacked(
    body: Lines, ids: Row, pairs: Sequence[tuple[str, str]], axes: tuple[str, str], line: int
) -> Lines:
    """Rows of identities, a group, and the cells under it; `axes` are the names of both heads, if known."""
    labels = list(dict.fromkeys(group for group, _ in pairs))
    subs = list(dict.fromkeys(sub for _, sub in pairs))
    alone = len(labels) == 1
    axis = axes[1] if _is_axis(axes[1]) else labels[0] if alone and _is_axis(labels[0]) else ""
    heads = [f"{axis}={sub}" if axis and number(sub) is not None else sub for sub in subs]
    group = [] if alone else [_group_name(labels, axes[0], [*ids, *subs])]
    out: Lines = [(line, [*ids, *group, *heads])]
    for place, row in body:
        cells = dict(zip(pairs, row[len(ids) : len(ids) + len(pairs)], strict=False))
        for label in labels:
            under = [cells.get((label, sub)) for sub in subs]
            if not all(map(is_blank, under)):
                out.append((place, [*row[: len(ids)], *([] if alone else [label]), *under]))
    return out


def _is_axis(name: str) -> bool:
    return hp_rank(name) is not None or rank(name, SCALES) is not None


def _group_name(labels: Sequence[str], given: str, others: Sequence[Any]) -> str:
    """The column's name of groups: as given, what sizes or learning rates are called, else `variant`."""
    if given and not is_blank(given):
        return given
    if any(parse_labelled(label) is None for label in labels):
        return "variant"
    named = labels[0].rstrip("0123456789.eE+-^*kKMB ").strip(" =:_")
    if named and _is_axis(named):
        return named
    return "lr" if any(rank(str(other), SCALES) is not None for other in others) else "width"


def with_row_names(header: Row, body: Sequence[Row]) -> Row:
    """A head with a blank name first where every row begins with a name of its own, as R and pandas print."""
    longer = all(len(row) == len(header) + 1 for row in body) and any(not is_blank(row[-1]) for row in body)
    if len(body) < 2 or not longer:
        return header
    firsts = [str(row[0]).strip() for row in body]
    counted = any(firsts == [str(i) for i in range(start, start + len(body))] for start in (0, 1))
    named = len(set(firsts)) == len(body) and all(number(first) is None for first in firsts)
    return ["", *header] if counted or named else header  # other numbers may be halves of decimals


def filled_down(header: Row, body: Sequence[Row]) -> tuple[list[Row], list[str]]:
    """Rows with a size, a learning rate or a variant that stands once above its rows written in each.

    Returns:
        The rows, and the names of the columns that were filled.
    """
    rows, names = [list(row) for row in body], []
    for i, head in enumerate(header):
        cells = [row[i] for row in rows]
        given = [cell for cell in cells if not is_blank(cell)]
        blocks = [key for key, _ in groupby(given)]
        sparse = (
            given and not is_blank(cells[0]) and 2 * len(given) <= len(cells) and len(blocks) == len(given)
        )
        is_value = any(map(str.isdigit, str(head)))  # lr=0.1 over losses, whose blanks are no runs
        if sparse and not is_value and (_is_axis(str(head)) or rank(str(head), VARIANTS) is not None):
            names.append(str(head))
            for row, cell in zip(rows, _spread(cells), strict=True):
                row[i] = cell
    return rows, names
