"""`read`: a sweep table from files, folders, trackers, dataframes, records, columns or an Optuna study."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hptransfer.errors import SweepError
from hptransfer.parametrization.catalogue import RULES, own_coordinates
from hptransfer.parametrization.coordinates import Coordinates
from hptransfer.sweep.curves import one_row_a_run
from hptransfer.sweep.extract import extract_from as extract_columns
from hptransfer.sweep.finding import USUAL, Found, find_columns
from hptransfer.sweep.guards import check_labels, is_readable
from hptransfer.sweep.losses import read_losses
from hptransfer.sweep.metric import as_metric
from hptransfer.sweep.names import LOGARITHM, base_name, hp_logarithm
from hptransfer.sweep.objects import from_object
from hptransfer.sweep.options import ReadOptions
from hptransfer.sweep.profile import group_numbers, profile_out
from hptransfer.sweep.raw_table import RawColumn, RawTable, candidates, find, floats, shown, texts
from hptransfer.sweep.several import several_hps, split_names
from hptransfer.sweep.sources import read_sources
from hptransfer.sweep.table import Columns, FloatArray, SweepTable
from hptransfer.sweep.values import HP_SCALES
from hptransfer.sweep.where import where as keep_where
from hptransfer.sweep.wide import lengthen

BLANK_LABEL = "(blank)"  # of a variant without a name
ALL = "all"  # the one variant of a table without a variant column
PARAMETRIZATION = "parametrization"  # a column that names the rule of a run
MOST_LEVELS = 20  # of a column that may tell repeated rows apart (an epoch, a weight decay)


def read(
    data: Any,
    *,
    scale: str | None = None,
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
    names = split_names(hp)
    hp = hp if isinstance(hp, str) and names is None else None
    options = ReadOptions(scale, hp, loss, decimal, hp_scale, take, extract, query, metric, maximize)
    table = _load(data, options)
    if extract_from is not None:
        table = extract_columns(table, *extract_from)
    if where is not None:
        table = keep_where(table, where)
    several = None if names is None else several_hps(table, names)
    hp = hp if several is None else several.first
    named = {"scale": scale, "hp": hp, "loss": loss, "variant": variant, "seed": seed}
    second = None if profile is None else find(table, profile, "profile")
    table, found = find_columns(table, named, second)
    if second in (found.scale, found.hp, found.loss):
        raise SweepError(f"profile must be a column that is not read as another, but got {shown(second)}")
    if several is not None:
        found = replace(found, more_hps=several.others)
        if taken := {found.scale, found.loss, *found.variant, found.seed, second} & {*several.columns}:
            raise SweepError(
                f"{shown(taken.pop())} must be a hyperparameter or another column, but is named as both"
            )
    table = one_row_a_run(table, found, take)
    sweep = _assembled(table, found, _names(table, found, named), options, where, second, optimizer)
    own = _own_coordinates(table, _labels(table, found.variant), parametrization)
    sweep = replace(sweep, own_coordinates=own)
    return sweep if several is None else several.named(sweep)


def _assembled(
    table: RawTable, found: Found, names: Columns, options: ReadOptions, where: str | None,
    second: str | None, optimizer: str | None,
) -> SweepTable:  # fmt: skip
    """The sweep table of the rows that are results, with notes on the others."""
    losses = read_losses(table, found.loss, names.loss, by_state=where is None)
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
    labels = check_labels(_labels(table, found.variant), names.variant)
    seeds = [""] * len(table) if found.seed is None else texts(table.columns[found.seed])
    sweep = SweepTable(
        variant=np.array(labels),
        scale=_positive(
            table, found.scale, names.scale, floats(table.columns[found.scale], labelled=True)[0]
        ),
        hp=_positive(table, found.hp, names.hp, hps),
        seed=np.array(check_labels(seeds, names.seed)),
        loss=losses.values[kept],
        extra=_extra(table, read_columns),
        columns=names,
        source=table.source,
        optimizers={} if optimizer is None else dict.fromkeys(labels, optimizer),
        taken=found.taken,
    )
    sweep = as_metric(sweep, options.metric, options.maximize)
    zero = (
        (f"{left_out} runs with {names.hp} = 0 are left out: the fit is over its logarithm",)
        if left_out
        else ()
    )
    notes = (*table.notes, *losses.notes, *zero)
    if second is not None:
        profiled = _profiled(sweep, floats(table.columns[second])[0], base_name(second))
        return replace(profiled, notes=(*notes, *profiled.notes))
    known = read_columns | {*found.more_hps}
    unread = [name for name in table.columns if name not in known and is_readable(table.columns[name])]
    return replace(sweep, notes=(*notes, *sweep.notes, *_unexplained(sweep, table, unread, found.more_hps)))


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


def _labels(table: RawTable, columns: tuple[str, ...]) -> list[str]:
    """Each row's variant."""
    if not columns:
        return [ALL] * len(table)
    if len(columns) == 1:
        labels = texts(table.columns[columns[0]])
        prefix = (
            f"{base_name(columns[0])}=" if {label.lower() for label in labels} <= {"true", "false"} else ""
        )
        return [prefix + label if label else BLANK_LABEL for label in labels]
    parts = [_part(base_name(column), table.columns[column]) for column in columns]
    return [" ".join(row) for row in zip(*parts, strict=True)]


def _part(name: str, cells: RawColumn) -> list[str]:
    """A column's share in a joined label: `mup` as it stands, a number with its name, `epoch=5`."""
    labels = texts(cells)
    plain = floats(cells)[1].all() and not {label.lower() for label in labels} <= {"true", "false"}
    return [("" if plain else f"{name}=") + (label or BLANK_LABEL) for label in labels]


def _own_coordinates(table: RawTable, labels: list[str], name: str | None) -> dict[str, Coordinates]:
    """By variant, the coordinates that its user sets the learning rate in, where the table or `name` says."""
    if name is not None:
        return dict.fromkeys(labels, own_coordinates(name))
    if not candidates(table, PARAMETRIZATION):
        return {}
    rules = texts(table.columns[find(table, PARAMETRIZATION, PARAMETRIZATION)])
    by_label = dict(zip(labels, (rule.strip().lower() for rule in rules), strict=True))
    return {label: own_coordinates(rule) for label, rule in by_label.items() if rule in RULES}


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
    return replace(sweep.take(kept), notes=(*sweep.notes, note))


def _unexplained(
    sweep: SweepTable, table: RawTable, unread: list[str], more_hps: tuple[str, ...]
) -> tuple[str, ...]:
    """A note where rows that count as replicates differ in columns that nobody asked for."""
    names = sweep.columns
    further = (texts(table.columns[column]) for column in more_hps)
    cell = group_numbers(sweep.variant, sweep.scale, sweep.hp, sweep.seed, *further)
    if cell.max() + 1 == len(sweep):
        return ()
    differ = [repr(column) for column in unread if _differs(cell, texts(table.columns[column]))]
    if not differ:
        return ()
    return (
        f"runs of equal {names.variant}, {names.scale}, {', '.join((names.hp, *more_hps))} and "
        f"{names.seed} differ in {', '.join(differ)} and count as replicates; choose one with --where, "
        f"or add it to the variant with --by",
    )


def _differs(cell: NDArray[np.int64], labels: list[str]) -> bool:
    """Whether a column of few levels (not an id, not a measurement) differs between replicates."""
    if not 2 <= len(set(labels)) <= min(MOST_LEVELS, cell.size // 3):
        return False
    return bool(group_numbers(cell, labels).max() > cell.max())
