"""`read`: a sweep table from files, dataframes, records, columns or an Optuna study."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hptransfer.errors import SweepError
from hptransfer.sweep.files import read_files
from hptransfer.sweep.guards import check_labels, is_readable
from hptransfer.sweep.objects import from_object
from hptransfer.sweep.profile import group_numbers, profile_out
from hptransfer.sweep.raw_table import RawColumn, RawTable, base_name, candidates, find, floats, shown, texts
from hptransfer.sweep.table import Columns, FloatArray, SweepTable
from hptransfer.sweep.where import where as keep_where

BLANK_LABEL = "(blank)"  # of a variant without a name
ALL = "all"  # the one variant of a table without a variant column
DIVERGED = frozenset({"diverged", "divergence", "overflow"})  # a diverged run's loss as text, beside nan, inf
MOST_LEVELS = 20  # of a column that may tell repeated rows apart (an epoch, a weight decay)


def read(
    data: Any,
    *,
    scale: str = "width",
    hp: str = "lr",
    loss: str = "loss",
    variant: str = "variant",
    seed: str = "seed",
    where: str | None = None,
    profile: str | None = None,
    optimizer: str | None = None,
) -> SweepTable:
    """Reads runs into a sweep table.

    Args:
        data: path of a CSV, TSV, JSON, JSONL or Parquet file, or a list of such paths; a dataframe (pandas,
            polars, pyarrow, anything narwhals knows); a list of records or a mapping of columns; an Optuna
            study. Nested run tables (W&B's `config` and `summary`) become dotted columns, `config.lr`, and
            are found under their plain names too.
        scale: column of the axis along which the hyperparameter is carried; positive numbers.
        hp: column of the hyperparameter; positive numbers.
        loss: column of the final loss. Blank, NaN, infinite and `diverged` mean that the run diverged.
        variant: column of the variant; several, comma-separated, are joined. Without a column `variant` all
            runs are one variant, `all`. `file` stands for the name of the file a run came from.
        seed: column of the seed; runs without one are replicates.
        where: keep only the rows for which this holds, for example `epoch == 5 and variant in [sp, mup]`.
        profile: a second hyperparameter to profile out: of its levels, each (variant, scale, hp, seed) keeps
            the one with the lowest loss (see `profile_out` for the bias).
        optimizer: that trained the runs, `sgd` for instance; it decides what a learning rate is in muP
            coordinates. None counts as AdamW; so should one whose update does not grow with the gradient.

    Raises:
        SweepError: in one line, with the row, where the data cannot be read so.
    """
    table = _load(data)
    if where is not None:
        table = keep_where(table, where)
    used = _find_all(table, {"scale": scale, "hp": hp, "loss": loss, "profile": profile})
    variants, labels = _variants(table, variant)
    seeds, seed_labels = _seeds(table, seed)
    labels, seed_labels = check_labels(labels, variant), check_labels(seed_labels, seed)
    read_columns = {*used.values(), *variants, *seeds}
    sweep = SweepTable(
        variant=np.array(labels),
        scale=_positive(table, used["scale"], scale),
        hp=_positive(table, used["hp"], hp),
        seed=np.array(seed_labels),
        loss=_losses(table, used["loss"], loss),
        extra=_extra(table, read_columns - {used.get("profile", "")}),
        columns=Columns(scale, hp, loss, variant, seed),
        source=table.source,
        optimizers={} if optimizer is None else dict.fromkeys(labels, optimizer),
    )
    if profile is not None:
        return _profiled(sweep, floats(table.columns[used["profile"]])[0], profile)
    unread = [name for name in table.columns if name not in read_columns and is_readable(table.columns[name])]
    return replace(sweep, notes=_unexplained(sweep, table, unread))


def _load(data: Any) -> RawTable:
    """Files or an object as a table; rows of files have the file's name in the column `file`."""
    paths = data if isinstance(data, list | tuple) else [data]
    if not paths or not all(isinstance(path, str | os.PathLike) for path in paths):
        return from_object(data)
    table = read_files(paths)
    stems = [Path(name).stem for name in table.names]
    return replace(table, columns={"file": [stems[index] for index in table.origin], **table.columns})


def _find_all(table: RawTable, names: dict[str, str | None]) -> dict[str, str]:
    """The table's own names of the columns that must be there and must differ."""
    found = {what: find(table, name, what) for what, name in names.items() if name is not None}
    for what, column in found.items():
        other = next(key for key, value in found.items() if value == column)
        if other != what:
            raise SweepError(f"{other} and {what} must be different columns, but both are {shown(column)!r}")
    return found


def _variants(table: RawTable, names: str) -> tuple[list[str], list[str]]:
    """The columns that make the variant, and each row's label."""
    if names == Columns.variant and not candidates(table, names):
        return [], [ALL] * len(table)
    parts = [names] if candidates(table, names) else [part.strip() for part in names.split(",")]
    columns = [find(table, part, "variant") for part in parts]
    if len(columns) == 1:
        return columns, [label or BLANK_LABEL for label in texts(table.columns[columns[0]])]
    labels = [_part(part, table.columns[column]) for part, column in zip(parts, columns, strict=True)]
    return columns, [" ".join(row) for row in zip(*labels, strict=True)]


def _part(name: str, cells: RawColumn) -> list[str]:
    """A column's share in a joined label: `mup` as it stands, a number with its name, `epoch=5`."""
    prefix = f"{name}=" if not floats(cells)[1].all() else ""
    return [prefix + (label or BLANK_LABEL) for label in texts(cells)]


def _seeds(table: RawTable, name: str) -> tuple[list[str], list[str]]:
    """The seed's column, if any, and each row's label."""
    if name == Columns.seed and not candidates(table, name):
        return [], [""] * len(table)
    column = find(table, name, "seed")
    return [column], texts(table.columns[column])


def _positive(table: RawTable, column: str, name: str) -> FloatArray:
    values, _ = floats(table.columns[column])
    bad = np.flatnonzero(~((values > 0) & np.isfinite(values)))
    if bad.size:
        cell = table.columns[column][bad[0]]
        raise SweepError(
            f"{name} must be a positive number, but {table.place(int(bad[0]))} has {name}={shown(cell)}"
        )
    return values


def _losses(table: RawTable, column: str, name: str) -> FloatArray:
    values, strange = floats(table.columns[column])
    for index in np.flatnonzero(strange):
        cell = table.columns[column][index]
        if str(cell).strip().lower() not in DIVERGED:
            raise SweepError(
                f"{name} must be a number (nan, inf, diverged or blank for a diverged run), but "
                f"{table.place(int(index))} has {name}={shown(cell)}"
            )
    return values


def _extra(table: RawTable, used: set[str]) -> dict[str, FloatArray]:
    """The other columns that are numeric throughout, under their plain names where these are free."""
    extra: dict[str, FloatArray] = {}
    for column, cells in table.columns.items():
        if column in used or not column:
            continue
        values, strange = floats(cells)
        if strange.any() or np.isnan(values).all():
            continue
        short = base_name(column)
        extra[column if short in table.columns or short in extra else short] = values
    return extra


def _profiled(sweep: SweepTable, second: FloatArray, name: str) -> SweepTable:
    cell = group_numbers(sweep.variant, sweep.scale, sweep.hp, sweep.seed)
    kept, levels = profile_out(cell, second, sweep.loss)
    note = (
        f"{name} is profiled out: each run is the best of {levels.min()} to {levels.max()} levels of it, "
        "which biases losses low by about the noise"
    )
    return replace(sweep.take(kept), notes=(note,))


def _unexplained(sweep: SweepTable, table: RawTable, unread: list[str]) -> tuple[str, ...]:
    """A note where rows that count as replicates differ in columns that nobody asked for."""
    names = sweep.columns
    cell = group_numbers(sweep.variant, sweep.scale, sweep.hp, sweep.seed)
    if cell.max() + 1 == len(sweep):
        return ()
    differ = [repr(column) for column in unread if _differs(cell, texts(table.columns[column]))]
    if not differ:
        return ()
    return (
        f"runs of equal {names.variant}, {names.scale}, {names.hp} and {names.seed} differ in "
        f"{', '.join(differ)} and count as replicates; choose one with where, or add it to the variant",
    )


def _differs(cell: NDArray[np.int64], labels: list[str]) -> bool:
    """Whether a column of few levels (not an id, not a measurement) differs between replicates."""
    if not 2 <= len(set(labels)) <= min(MOST_LEVELS, cell.size // 3):
        return False
    return bool(group_numbers(cell, labels).max() > cell.max())
