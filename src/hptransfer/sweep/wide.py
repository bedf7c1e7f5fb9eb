"""Wide tables: one with learning rates, sizes or variants as its heads becomes one row a run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hptransfer.sweep.losses import stands_for_none
from hptransfer.sweep.names import LOGARITHM, SCALES, hp_rank, loss_rank, rank, word_set, words
from hptransfer.sweep.options import ReadOptions
from hptransfer.sweep.raw_table import RawColumn, RawTable, floats, texts
from hptransfer.sweep.run_charts import runs_of_chart
from hptransfer.sweep.values import parse

HEAD = re.compile(r"(?P<label>.*?[^\W\d])\s*[)\]]?\s*[=:_@ -]?\s*(?P<number>[({$]*[\d.+−-].*)")
MEAN = re.compile(r"[ _/.(-]+(?:mean|avg|average)\)?$", re.IGNORECASE)
DEVIATION = re.compile(r"[ _/.(-]+(?:std|sd|sem|se|stderr|err|var|count|n|min|max)\)?$", re.IGNORECASE)
CORNER = re.compile(r"\s*(?:\\+|/|\||↓|→|×|,|\bvs\.?\b)\s*", re.IGNORECASE)
LEVELS = word_set(
    "sp mup μp µp u-mup umup ntp ntk mfp standard adam adamw sgd lion muon shampoo soap adafactor baseline"
)


@dataclass(frozen=True)
class _Head:
    column: str
    value: float
    axis: str  # scale, hp, or empty where only the table can tell
    label: str  # the axis's own name, or empty
    loss: str  # the loss's name within the head, or empty


def lengthen(table: RawTable, options: ReadOptions) -> RawTable:
    """A wide table as one row a run; any other table as it is.

    Heads are taken for values where two or more are numbers, perhaps after a name (`lr=1e-3`, `d256`), and
    the table has no column of losses. A blank cell is a run that was not made.
    """
    table = runs_of_chart(_of_means(_of_metrics(table)), options)
    named = {column for column in (options.loss,) if column in table.columns}
    if named or any(loss_rank(column) == (0, 0) for column in table.columns):
        return table
    heads = [
        head for column in table.columns if (head := _head(column)) and _has_numbers(table.columns[column])
    ]
    labelled = [head for head in heads if head.axis]
    heads = labelled if len(labelled) > 1 else heads
    if len(heads) < 2 or len({head.axis for head in heads}) > 1:
        return _variants(table, options)
    ids = {c: cells for c, cells in table.columns.items() if c not in {h.column for h in heads}}
    if not heads[0].axis and any(loss_rank(column) for column in ids):
        return table
    axis, ids = _axes(heads, ids, options)
    name = {"hp": options.hp or heads[0].label or "lr", "scale": options.scale or heads[0].label or "width"}[
        axis
    ]
    loss = options.loss or heads[0].loss or "loss"
    values = {head.column: head.value for head in heads}
    note = (
        f"{table.names[0]} is read as a wide table: {len(heads)} of its heads are values of "
        f"{name}, their cells {loss}"
    )
    return _melted(table, ids, values, (name, loss), note)


def _of_means(table: RawTable) -> RawTable:
    """A wide table with a mean and a deviation under each head, without the deviations."""
    stems = {stem: column for column in table.columns if (stem := MEAN.sub("", column)) != column}
    if len(stems) < 2 or not all(_head(stem) for stem in stems):
        return table
    spread = {c for c in table.columns if (stem := DEVIATION.sub("", c)) != c and stem in stems}
    columns = {MEAN.sub("", c): cells for c, cells in table.columns.items() if c not in spread}
    return replace(table, columns=columns)


def _of_metrics(table: RawTable) -> RawTable:
    """A table with a row for every metric of a run: the rows of its best loss, under that loss's name."""
    names = {column.lower(): column for column in table.columns}
    metric = next((names[n] for n in ("metric", "metric_name", "measure", "key") if n in names), None)
    if metric is None or "value" not in names or any(map(loss_rank, table.columns)):
        return table
    ranked = sorted((found, n) for n in set(texts(table.columns[metric])) if (found := loss_rank(n)))
    if not ranked:
        return table
    loss = ranked[0][1]
    kept = table.keep(np.array([label == loss for label in texts(table.columns[metric])]))
    columns = {
        (loss if c == names["value"] else c): cells for c, cells in kept.columns.items() if c != metric
    }
    note = f"{table.names[0]} has a row for every {metric}; those of {loss} are read"
    return replace(kept, columns=columns, notes=(*table.notes, note))


def _melted(
    table: RawTable,
    ids: Mapping[str, RawColumn],
    values: Mapping[str, Any],
    names: tuple[str, str],
    note: str,
) -> RawTable:
    """One row for every cell that is not blank under the heads `values`, which stand for these values."""
    picked = [
        (i, column)
        for i in range(len(table))
        for column in values
        if not (table.columns[column][i] is None or str(table.columns[column][i]).strip() == "")
    ]
    rows = np.array([i for i, _ in picked], dtype=np.int64)
    columns: dict[str, RawColumn] = {key: [cells[i] for i in rows] for key, cells in ids.items() if key}
    columns[names[0]] = [values[column] for _, column in picked]
    columns[names[1]] = [table.columns[column][i] for i, column in picked]
    return replace(
        table, columns=columns, row=table.row[rows], origin=table.origin[rows], notes=(*table.notes, note)
    )


def _head(column: str) -> _Head | None:
    """A column's name as a value of the scale or of the hyperparameter; None where it is neither."""
    value = parse(column) if column else None
    if value is not None:
        return None if value != value else _Head(column, value, "", "", "")
    match = HEAD.fullmatch(column)
    if match is None or (value := parse(match["number"].strip("()[] "))) is None:
        return None
    label = match["label"].strip(" =:_@-([")
    for part in (*reversed(_endings(label)), label):
        before = label[: len(label) - len(part)].strip(" =:_@-(/")
        axis = "hp" if hp_rank(part) else "scale" if rank(part, SCALES) else ""
        if axis and (not before or loss_rank(before)):
            return _Head(column, value, axis, part, before)
    return None


def _endings(label: str) -> list[str]:
    """The last parts of a name: of `val_loss_lr`, `loss_lr` and `lr`."""
    return [label[match.end() :] for match in re.finditer(r"[_/@ .]+", label)]


def _has_numbers(cells: RawColumn) -> bool:
    """Whether a column has a cell that is filled, and mostly numbers or what stands for none."""
    _, bad = floats(cells)
    words = sum(not stands_for_none(cells[i]) for i in np.flatnonzero(bad))
    return 2 * words <= len(bad) and any(cell not in (None, "") for cell in cells)


def _axes(
    heads: list[_Head], ids: dict[str, RawColumn], options: ReadOptions
) -> tuple[str, dict[str, RawColumn]]:
    """What the heads are, `hp` or `scale`, and the other columns with a name for the other axis."""
    other = {"hp": "scale", "scale": "hp"}
    corner = next(iter(ids), "")
    parts = [part for part in CORNER.split(corner) if part]
    if len(parts) == 2 and {bool(hp_rank(part)) for part in parts} == {True, False}:
        axis = "hp" if hp_rank(parts[1]) else "scale"
        return axis, {(parts[0] if column == corner else column): cells for column, cells in ids.items()}
    axis = heads[0].axis or _axis_of(heads, ids, options)
    is_named = any((rank(c, SCALES) if axis == "hp" else hp_rank(c)) is not None for c in ids)
    wanted = options.scale if axis == "hp" else options.hp
    if not is_named and wanted not in ids:
        number = next((c for c, cells in ids.items() if _sizes(cells)), None)
        name = wanted or {"scale": "width", "hp": "lr"}[other[axis]]
        ids = {(name if column == number else column): cells for column, cells in ids.items()}
    return axis, ids


def _axis_of(heads: list[_Head], ids: Mapping[str, RawColumn], options: ReadOptions) -> str:
    if options.scale in ids or options.hp in ids:
        return "hp" if options.scale in ids else "scale"
    has_hp = any(hp_rank(column) for column in ids)
    if has_hp != any(rank(column, SCALES) for column in ids):
        return "scale" if has_hp else "hp"
    return "hp" if min(head.value for head in heads) < 1 else "scale"


def _sizes(cells: RawColumn) -> bool:
    values, bad = floats(cells, labelled=True)
    return not bad.any() and bool((values > 0).any())


def _variants(table: RawTable, options: ReadOptions) -> RawTable:
    """A table with a column of losses for each of several known variants as one row a run."""
    found = [
        column
        for column in table.columns
        if column and set(LOGARITHM.sub("", column).lower().split()) & LEVELS
    ]
    found = [column for column in found if _has_numbers(table.columns[column])]
    if len(found) < 2 or any(loss_rank(column) for column in table.columns if column not in found):
        return table
    ids = {column: cells for column, cells in table.columns.items() if column not in found}
    values = {column: _without_loss(column) for column in found}
    loss = options.loss or "loss"
    note = (
        f"{table.names[0]} is read as a wide table: {', '.join(values.values())} are "
        f"variants, their cells {loss}"
    )
    return _melted(table, ids, values, ("variant", loss), note)


def _without_loss(column: str) -> str:
    kept = " ".join(
        word for word in column.replace("_", " ").split() if word.lower() not in ("loss", "val", "eval")
    )
    return kept if words(kept) else column
