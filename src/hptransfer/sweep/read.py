"""`read`: a sweep table from files, folders, trackers, dataframes, records, columns or an Optuna study."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hptransfer.errors import SweepError
from hptransfer.sweep.axes import Scale, cell_numbers, first_axis, with_axes
from hptransfer.sweep.curves import one_row_a_run
from hptransfer.sweep.extract import extract_from as extract_columns
from hptransfer.sweep.finding import USUAL, Found, find_columns
from hptransfer.sweep.guards import is_readable
from hptransfer.sweep.labels import own_coordinates_of, seed_labels, variant_labels
from hptransfer.sweep.losses import Losses, read_losses
from hptransfer.sweep.metric import as_metric
from hptransfer.sweep.names import LOGARITHM, base_name, hp_logarithm
from hptransfer.sweep.objects import from_object
from hptransfer.sweep.options import ReadOptions
from hptransfer.sweep.profile import group_numbers, profile_out
from hptransfer.sweep.raw_table import RawColumn, RawTable, candidates, find, floats, level_keys, shown
from hptransfer.sweep.several import several_hps, split_names
from hptransfer.sweep.sources import read_sources
from hptransfer.sweep.table import Columns, FloatArray, SweepTable
from hptransfer.sweep.values import HP_SCALES
from hptransfer.sweep.where import where as keep_where
from hptransfer.sweep.wide import lengthen
from hptransfer.words import plural

FIRST = 1000  # cells by which a column is judged before the others are looked at
MOST_LEVELS = 20  # of a column that may tell repeated rows apart (an epoch, a weight decay)


def read(
    data: Any,
    *,
    scale: Scale = None,
    hp: str | Sequence[str] | None = None,
    loss: str | None = None,
    variant: str | None = None,
    seed: str | None = None,
    where: str | None = None,
    profile: str | None = None,
    optimizer: str | None = None,
    parametrization: str | None = None,
    metric: str = "nats",
    maximize: bool = False,
    hp_scale: str | None = None,
    decimal: str | None = None,
    take: str | None = None,
    extract: str | None = None,
    extract_from: tuple[str, str] | None = None,
    query: str | None = None,
) -> SweepTable:
    """Reads runs into a sweep table.

    Columns that are not named are found by their usual names (`width`, `d_model`, `params` ...; `lr`,
    `learning_rate` ...; `loss`, `val/loss` ...); `SweepTable.taken` says which.

    Args:
        data: path of a file (CSV, TSV, JSON, JSONL, Markdown, Parquet, Feather, XLSX, SQLite, a log; perhaps
            compressed), of a folder of runs, or `-` for standard input; a tracker, `wandb:entity/project`,
            `mlflow:URI#experiment` or `optuna:STORAGE#study`; a list of these; a dataframe (anything with
            `__dataframe__` or Arrow); a list of records or a mapping of columns; an Optuna study. Nested run
            tables (W&B's `config` and `summary`) become dotted columns, `config.lr`, and are found by their
            plain names too. A table with learning rates or sizes as its heads becomes one row a run.
        scale: column of the axis along which the hyperparameter is carried; positive numbers, or 60M, d128.
            Several, as a list or comma-separated (`params,tokens`), are axes of their own.
        hp: column of the hyperparameter; positive numbers. Runs at 0 are left out, with a note. Several, as a
            list or comma-separated, are for `quantify_joint`; there a weight decay of 0 stays.
        loss: column of the final loss. Blank, NaN, infinite and `diverged` mean that the run diverged.
        variant: column of the variant; several, comma-separated, are joined. Where no column is one, all runs
            are one variant, `all`. `file` stands for the name of the file a run came from.
        seed: column of the seed; runs without one are replicates.
        where: keep only the rows for which this holds, for example `epoch == 5 and variant in [sp, mup]`.
        profile: a second hyperparameter to profile out: of its levels, each (variant, scale, hp, seed) keeps
            the one with the lowest loss (see `profile_out` for the bias).
        optimizer: that trained the runs, `sgd` for instance; it decides what a learning rate is in muP
            coordinates. None counts as AdamW; so should one whose update does not grow with the gradient.
        parametrization: of all runs, by its name in the catalogue; None reads it from a column of that
            name, where there is one. It says in which coordinates its user sets the learning rate.
        metric: what the loss column holds: `nats`, `bits`, `perplexity`, `mse`, `error`, `accuracy`, or a
            unit of your own (see `hptransfer.sweep.metric`).
        maximize: whether a higher value is better.
        hp_scale: what the hyperparameter's numbers are: `linear`, `log2`, `log10` or `ln`; None goes by the
            column's name.
        decimal: what stands before decimals, `.` or `,`; None finds out.
        take: the loss of a run with a curve: `final`, `best` or `mean:K`, the mean of its last K points.
        extract: regular expression with named groups that finds the runs in a printed log.
        extract_from: a column and a template such as `lr{lr}_d{width}`, whose fields become columns.
        query: the table of a database or a query, the sheet of a workbook, a tracker's filter.

    Raises:
        SweepError: in one line, with the row, where the data cannot be read so.
    """
    if take == "best" and (maximize or metric == "accuracy"):
        raise SweepError("take must be final or mean:K where a higher value is better, but got 'best'")
    several = split_names(hp)
    hp = hp if isinstance(hp, str) and several is None else None
    options = ReadOptions(
        first_axis(scale), hp, loss, decimal, hp_scale, take, extract, query, metric, maximize
    )
    table = _load(data, options)
    if extract_from is not None:
        table = extract_columns(table, *extract_from)
    if where is not None:
        table = keep_where(table, where)
    table, axes = with_axes(table, scale)
    if len(axes) > 1:
        options = replace(options, axes=axes)
    hps = None if several is None else several_hps(table, several)
    hp = hp if hps is None else hps.first
    named = {"scale": axes[0] if axes else None, "hp": hp, "loss": loss, "variant": variant, "seed": seed}
    second = None if profile is None else find(table, profile, "profile")
    table, found = find_columns(table, named, second)
    if second in (found.scale, found.hp, found.loss):
        raise SweepError(f"profile must be a column that is not read as another, but got {shown(second)}")
    if hps is not None:
        found = hps.apart_from(found, (second, *axes))
    table = one_row_a_run(table, found, take, options.axes[1:])
    names = _names(table, found, named)
    losses = read_losses(table, found.loss, names.loss, by_state=where is None)
    own = own_coordinates_of(table, variant_labels(table, found.variant, names.variant), parametrization)
    sweep = _assembled(table, found, names, losses, options, second)
    optimizers = {} if optimizer is None else dict.fromkeys(sweep.variants, optimizer)
    sweep = replace(sweep, own_coordinates=own, optimizers=optimizers)
    return sweep if hps is None else hps.named(sweep)


def _assembled(
    table: RawTable, found: Found, names: Columns, losses: Losses, options: ReadOptions, second: str | None
) -> SweepTable:
    """The sweep table of the rows that are results, with notes on the others."""
    hps = _hyperparameters(table, found.hp, options.hp_scale)
    kept = losses.kept & (hps != 0)
    if not kept.any():
        raise SweepError(
            f"{names.hp} must be a positive number, but every run has {names.hp} = 0 or no {names.loss}"
        )
    left_out = int((losses.kept & (hps == 0)).sum())
    if not kept.all():
        table, hps = table.keep(kept), hps[kept]
    read_columns = {found.scale, found.hp, found.loss, *found.variant, found.seed or ""} - {second or ""}
    sweep = SweepTable(
        variant=variant_labels(table, found.variant, names.variant),
        scale=_positive(
            table, found.scale, names.scale, floats(table.columns[found.scale], labelled=True)[0]
        ),
        hp=_positive(table, found.hp, names.hp, hps),
        seed=seed_labels(table, found.seed, names.seed),
        loss=losses.values[kept],
        extra=_extra(table, read_columns),
        columns=names,
        source=table.source,
        taken=found.taken,
        axes=options.axes,
    )
    for axis in sweep.axes[1:]:
        _positive(
            table, axis, axis, sweep.extra[axis] if axis in sweep.extra else np.full(len(sweep), np.nan)
        )
    sweep = as_metric(sweep, options.metric, options.maximize)
    zero = (
        (f"left out: {plural(left_out, 'run')} with {names.hp} = 0, since the fit is over its logarithm",)
        if left_out
        else ()
    )
    notes = (*table.notes, *losses.notes, *zero)
    if second is not None:
        profiled = _profiled(sweep, floats(table.columns[second])[0], base_name(second))
        return replace(profiled, notes=(*notes, *profiled.notes))
    read_columns |= {*sweep.axes, *found.more_hps}
    unread = [name for name in table.columns if name not in read_columns and is_readable(table.columns[name])]
    return replace(sweep, notes=(*notes, *sweep.notes, *_unexplained(sweep, table, found, unread)))


def _load(data: Any, options: ReadOptions) -> RawTable:
    """Files, folders and trackers, or an object, as a table."""
    paths = data if isinstance(data, list | tuple) else [data]
    if not paths or not all(isinstance(path, str | os.PathLike) for path in paths):
        return lengthen(from_object(data), options)
    return read_sources([str(path) for path in paths], options)


def _names(table: RawTable, found: Found, named: dict[str, str | None]) -> Columns:
    """The names of the columns for the reader of a result: the user's own, the usual, or the table's."""

    def name(what: str, *columns: str) -> str:
        if (given := named[what]) is not None:
            return given
        if not columns or candidates(table, USUAL[what]) == list(columns):
            return USUAL[what]
        return ", ".join(map(base_name, columns))

    seed = () if found.seed is None else (found.seed,)
    return Columns(
        scale=name("scale", found.scale),
        hp=LOGARITHM.sub("", name("hp", found.hp)),
        loss=name("loss", found.loss),
        variant=name("variant", *found.variant),
        seed=name("seed", *seed),
    )


def _hyperparameters(table: RawTable, column: str, hp_scale: str | None) -> FloatArray:
    """The hyperparameter of each row in linear units, NaN where it is none, shape [rows]."""
    values, _ = floats(table.columns[column], labelled=True)
    kind = hp_scale or hp_logarithm(column)
    if kind == "linear":
        return values
    with np.errstate(over="ignore"):
        return np.asarray(np.power(HP_SCALES[kind], values))


def _positive(table: RawTable, column: str, name: str, values: FloatArray) -> FloatArray:
    bad = np.flatnonzero(~((values > 0) & np.isfinite(values)))
    if bad.size:
        cell = table.columns[column][bad[0]]
        logarithms = bool((values[np.isfinite(values)] < 0).all()) and np.isfinite(values).any()
        way = (
            "say --hp-scale log2 if it is a logarithm"
            if logarithms
            else f'leave it out: --where "{shown(name)} > 0"'
        )
        raise SweepError(
            f"{name} must be a positive number, but {table.place(int(bad[0]))} has "
            f"{name}={shown(cell)}; {way}"
        )
    return values


def _extra(table: RawTable, used: set[str]) -> dict[str, FloatArray]:
    """The other columns that are numeric throughout, under their plain names where these are free."""
    extra: dict[str, FloatArray] = {}
    for column, cells in table.columns.items():
        if column in used or not column:
            continue
        if floats(cells[:FIRST])[1].any():  # most columns of texts are told by their first cells
            continue
        values, strange = floats(cells)
        if strange.any() or np.isnan(values).all():
            continue
        short = base_name(column)
        extra[column if short in table.columns or short in extra else short] = values
    return extra


def _profiled(sweep: SweepTable, second: FloatArray, name: str) -> SweepTable:
    cell = cell_numbers(sweep, sweep.seed)
    kept, levels = profile_out(cell, second, sweep.loss)
    note = (
        f"{name} is profiled out: each run is the best of {levels.min()} to {levels.max()} levels of it, "
        "which biases losses low by about the noise"
    )
    return replace(sweep.take(kept), notes=(*sweep.notes, note))


def _unexplained(sweep: SweepTable, table: RawTable, found: Found, unread: list[str]) -> tuple[str, ...]:
    """A note where rows that count as replicates differ in columns that nobody asked for."""
    names = sweep.columns
    seeds = sweep.seed if found.seed is None else level_keys(table.columns[found.seed])
    further = [level_keys(table.columns[column]) for column in found.more_hps]
    cell = group_numbers(cell_numbers(sweep, seeds), *further)
    if cell.max() + 1 == len(sweep):
        return ()
    differ = [repr(column) for column in unread if _differs(cell, table.columns[column])]
    if not differ:
        return ()
    return (
        f"runs of equal {names.variant}, {names.scale}, {', '.join((names.hp, *found.more_hps))} and "
        f"{names.seed} differ in {', '.join(differ)} and count as replicates; choose one with --where, "
        f"or add it to the variant with --by",
    )


def _differs(cell: NDArray[np.int64], cells: RawColumn) -> bool:
    """Whether a column of few levels (not an id, not a measurement) differs between replicates."""
    if group_numbers(level_keys(cells[:FIRST])).max() >= MOST_LEVELS:
        return False
    level = group_numbers(level_keys(cells))
    if not 1 <= level.max() < min(MOST_LEVELS, cell.size // 3):
        return False
    return bool(group_numbers(cell, level).max() > cell.max())
