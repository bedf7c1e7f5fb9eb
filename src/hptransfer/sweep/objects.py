"""Objects in memory as tables: dataframes, records, columns, and an Optuna study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from hptransfer.errors import SweepError
from hptransfer.sweep.guards import convert
from hptransfer.sweep.raw_table import RawTable, columns_of, make_table, shown


def from_object(data: Any) -> RawTable:
    """A table from a dataframe, a list of records, a mapping of columns, or an Optuna study.

    Raises:
        SweepError: where `data` is none of these.
    """
    if hasattr(data, "trials") and hasattr(data, "study_name"):
        return from_study(data)
    if isinstance(data, Mapping):
        return from_mapping(data, "the mapping")
    if isinstance(data, Sequence) and not isinstance(data, str | bytes):
        return from_records(data, "the list")
    return from_frame(data, "the dataframe")


def from_frame(frame: Any, name: str) -> RawTable:
    """A table from any dataframe that narwhals knows (pandas, polars, pyarrow, ...); rows count from 0."""
    import narwhals.stable.v1 as nw

    try:
        native = nw.from_native(frame)
    except TypeError:
        raise SweepError(
            "read needs a file, a dataframe, a list of records, a mapping of columns or an Optuna study, but "
            f"got {type(frame).__name__}"
        ) from None
    if isinstance(native, nw.LazyFrame):
        native = native.collect()
    columns = {}
    for column in native.columns:
        columns[str(column)] = convert(partial(_cells, native[column]), len(native), str(column))
    return make_table(columns, name)


def _cells(series: Any) -> list[Any]:
    cells = zip(series.to_list(), series.is_null().to_list(), strict=True)
    return [None if null else cell for cell, null in cells]


def from_mapping(data: Mapping[Any, Any], name: str) -> RawTable:
    """A table from columns by name: lists, or mappings of row labels as `DataFrame.to_json` writes them."""
    columns = {}
    for key, cells in data.items():
        if isinstance(cells, Mapping):
            cells = list(cells.values())
        if isinstance(cells, str | bytes) or not hasattr(cells, "__iter__"):
            raise SweepError(f"columns must be lists, but {shown(key)} of {name} is {shown(cells)}")
        columns[str(key)] = cells.tolist() if hasattr(cells, "tolist") else list(cells)
    return make_table(columns, name)


def from_records(records: Sequence[Any], name: str, rows: Sequence[int] | None = None) -> RawTable:
    """A table from one mapping a run, which may nest (`{"config": {"lr": ...}, "summary": {...}}`).

    Args:
        records: one mapping a run.
        name: of the source, for errors.
        rows: number of each record in its source; default 0, 1, ...

    Raises:
        SweepError: where a record is no mapping, or there is none.
    """
    for index, record in enumerate(records):
        if not isinstance(record, Mapping):
            row = index if rows is None else rows[index]
            raise SweepError(f"every row must be an object, but row {row} of {name} is {shown(record)}")
    return make_table(columns_of(records), name, rows)


def from_study(study: Any) -> RawTable:
    """A table of an Optuna study's finished trials: params, user attributes, and the value as `loss`.

    A trial in state FAIL, or without a value, counts as diverged: Optuna records an objective of NaN so.
    Trials that were pruned or have not finished have no final loss and are left out.

    Raises:
        SweepError: where the study has several objectives or maximises.
    """
    directions = [str(getattr(direction, "name", direction)).upper() for direction in study.directions]
    if directions != ["MINIMIZE"]:
        raise SweepError(f"an Optuna study must minimise one loss, but this one has {directions}")
    finished = [trial for trial in study.trials if _state(trial) in ("COMPLETE", "FAIL")]
    records = [
        {"loss": None if _state(trial) == "FAIL" else trial.value, "number": trial.number}
        | {"study_name": study.study_name, **trial.user_attrs, **trial.params}
        for trial in finished
    ]
    return make_table(columns_of(records), f"study {study.study_name}", [trial.number for trial in finished])


def _state(trial: Any) -> str:
    return str(getattr(trial.state, "name", trial.state)).upper()
