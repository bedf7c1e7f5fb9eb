"""JSON as people write it: records, columns, pandas' orientations, runs or losses under keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hptransfer.errors import SweepError
from hptransfer.sweep.names import SCALES, hp_rank, loss_rank, rank, word_set
from hptransfer.sweep.raw_table import RawTable, columns_of, flatten, make_table, shown
from hptransfer.sweep.values import parse, parse_labelled
from hptransfer.words import plural

Record = dict[str, Any]
GENERIC = word_set("runs results data experiments sweep sweeps trials records history")  # around all runs
DEEPEST = 12  # levels of objects within objects


def table_of_json(data: Any, name: str) -> RawTable:
    """The runs in parsed JSON, one row a run.

    Args:
        data: what `json.loads` gives.
        name: of the source, for errors.

    Raises:
        SweepError: where there are no runs in it.
    """
    if isinstance(data, Mapping):
        if isinstance(data.get("data"), list) and isinstance(data.get("columns"), list):  # pandas' `split`
            return make_table(_transposed(data["columns"], data["data"], name), name)
        if isinstance(data.get("data"), list) and "schema" in data:  # pandas' `table`
            data = data["data"]
        elif columns := _columns(data):
            return make_table(columns, name)
    elif not isinstance(data, list):
        raise SweepError(f"{name} must hold a list of runs or an object of columns, but holds {shown(data)}")
    if isinstance(data, list) and (len(data) > 1 and all(isinstance(row, list) for row in data)):
        return make_table(_transposed(data[0], data[1:], name), name)
    records = list(_runs(data, {}, (), name))
    return make_table(columns_of(_named(records)), name)


def _transposed(names: Sequence[Any], rows: Sequence[Any], name: str) -> dict[str, list[Any]]:
    bad = next((i for i, row in enumerate(rows) if not isinstance(row, list) or len(row) != len(names)), None)
    if bad is not None:
        raise SweepError(
            f"every row must have a value for each of {plural(len(names), 'column')}, but row {bad} of "
            f"{name} does not"
        )
    return {str(column): [row[i] for row in rows] for i, column in enumerate(names)}


def _columns(data: Mapping[str, Any]) -> dict[str, list[Any]] | None:
    """Columns by name, as lists or by row label as pandas writes them; None for any other object."""
    values = list(data.values())
    if values and all(isinstance(cells, list) and not _holds_objects(cells) for cells in values):
        return {key: list(cells) for key, cells in data.items()} if _says_columns(data) else None
    if values and all(isinstance(cells, Mapping) and cells for cells in values) and _says_columns(data):
        flat = not any(isinstance(cell, Mapping | list) for cells in values for cell in cells.values())
        if flat and len({tuple(cells) for cells in values}) == 1:
            return {key: list(cells.values()) for key, cells in data.items()}
    return None


def _says_columns(names: Mapping[str, Any]) -> bool:
    """Whether names are those of a hyperparameter or a loss, and not sizes, variants or runs."""
    plain = [name for name in names if sum(map(str.isdigit, name)) < 2]  # w128_lr0.01 is the name of a run
    return any(hp_rank(name) is not None or loss_rank(name) is not None for name in plain)


def _holds_objects(cells: Sequence[Any]) -> bool:
    return any(isinstance(cell, Mapping | list) for cell in cells)


def _runs(
    data: Any, shared: Record, path: tuple[str, ...], name: str
) -> Iterator[tuple[tuple[str, ...], Record]]:
    """Every run within `data`, with the keys that lead to it.

    Args:
        data: an object or a list.
        shared: values of the objects around it, which hold for every run within.
        path: keys of the objects around it that are no names of columns.
        name: of the source, for errors.
    """
    if len(path) > DEEPEST:
        raise SweepError(f"{name} nests objects deeper than {DEEPEST}; write one object a run")
    if isinstance(data, list):
        yield from _listed(data, shared, path, name)
    elif isinstance(data, Mapping):
        yield from _within(data, shared, path, name)
    else:
        yield path, {**shared, "loss": data}


def _listed(
    data: Sequence[Any], shared: Record, path: tuple[str, ...], name: str
) -> Iterator[tuple[tuple[str, ...], Record]]:
    """The runs of a list: of objects, or of losses beside a list of learning rates or sizes around it."""
    axes = [key for key, cells in shared.items() if isinstance(cells, list) and len(cells) == len(data)]
    if data and axes and not _holds_objects(data):
        rest = {key: cells for key, cells in shared.items() if not isinstance(cells, list)}
        for i, loss in enumerate(data):
            yield path, {**rest, **{_singular(key): shared[key][i] for key in axes}, "loss": loss}
        return
    for row, record in enumerate(data):
        if not isinstance(record, Mapping):
            raise SweepError(f"every row must be an object, but row {row} of {name} is {shown(record)}")
        if any(isinstance(cells, list) and _holds_objects(cells) for cells in record.values()):
            yield from _within(record, shared, path, name)  # the runs of one size, for instance
        else:
            yield path, {**shared, **record}


def _within(
    data: Mapping[str, Any], shared: Record, path: tuple[str, ...], name: str
) -> Iterator[tuple[tuple[str, ...], Record]]:
    scalars = {key: value for key, value in data.items() if not isinstance(value, Mapping | list)}
    lists = {key: value for key, value in data.items() if isinstance(value, list)}
    nested = {key: value for key, value in data.items() if isinstance(value, Mapping)}
    if _is_run(data):
        yield path, {**shared, **data}
    elif scalars and not lists and not nested and (all(map(_is_value, data)) or _are_losses(data)):
        for key, loss in scalars.items():
            yield (*path, key), {**shared, "loss": loss}
    elif (lengths := {len(cells) for cells in lists.values()}) and _says_columns(lists) and not nested:
        plain = {key: cells for key, cells in lists.items() if not _holds_objects(cells)}
        losses = {key for key in plain if loss_rank(key) is not None}
        if len(lengths) == 1 and losses:
            for row in zip(*plain.values(), strict=True):
                yield (
                    path,
                    {**shared, **scalars, **{_singular(k): v for k, v in zip(plain, row, strict=True)}},
                )
        else:
            axes = {key: cells for key, cells in plain.items() if _is_axis(key)}
            for key in lists.keys() - axes.keys() if axes else ():
                yield from _runs(lists[key], {**shared, **scalars, **axes}, (*path, key), name)
    else:
        axes = {key: cells for key, cells in lists.items() if _is_axis(key)}
        around = {**shared, **scalars, **axes}
        objects = {key: value for key, value in lists.items() if value and _holds_objects(value)}
        plain = {
            key: value for key, value in lists.items() if value and key not in axes and key not in objects
        }
        under = {**nested, **objects, **(plain if any(isinstance(v, list) for v in around.values()) else {})}
        for key, value in under.items():
            only = key in objects and len(under) == 1
            yield from _runs(value, around, path if only else (*path, key), name)


def _are_losses(data: Mapping[str, Any]) -> bool:
    """Whether an object holds a loss for each name of a run: numbers only, under no names of columns."""
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in data.values())
    return numbers and len(data) > 1 and not _says_columns(data)


def _is_axis(name: str) -> bool:
    return (
        hp_rank(name) is not None
        or rank(name, SCALES) is not None
        or rank(_singular(name), SCALES) is not None
    )


def _is_run(data: Mapping[str, Any]) -> bool:
    """Whether an object is one run: it has a loss, perhaps nested, but not under values or names of runs."""
    flat = {key: value for key, value in flatten(data) if not isinstance(value, list)}
    losses = [key for key in flat if loss_rank(key) is not None]
    numeric = any(_is_value(part) for key in flat for part in key.split("."))
    depths = [key.count(".") for key in losses]
    several = len(losses) > 1 and len({key.rpartition(".")[2] for key in losses}) == 1 and min(depths) > 0
    return bool(losses) and not numeric and not several


def _is_value(text: str) -> bool:
    return parse(text) is not None or _labelled_value(text)


def _labelled_value(key: str) -> bool:
    return parse_labelled(key) is not None and _axis_name(key) != ""


def _singular(name: str) -> str:
    """The column's name for a list of its values: `losses` are `loss`, `lrs` `lr`."""
    return (
        name[:-2]
        if name.endswith(("sses", "xes"))
        else name[:-1]
        if name.endswith("s") and name[-2:] != "ss"
        else name
    )


def _axis_name(key: str) -> str:
    """`scale` or `hp` where the letters before a value say so, as in d256 or lr=1e-3."""
    label = key.rstrip("0123456789.eE+-^*kKMB")
    label = label.strip(" =:_@-")
    return label if label and _is_axis(label) else ""


def _named(records: Sequence[tuple[tuple[str, ...], Record]]) -> list[Record]:
    """Records with the keys that lead to them as columns: sizes, learning rates, variants, names of runs."""
    depth = max((len(path) for path, _ in records), default=0)
    names: dict[int, str] = {}
    for level in range(depth):
        keys = [path[level] if level < len(path) else "" for path, _ in records]
        names[level] = _level_name(keys, records, set(names.values()))
    return [
        {
            **record,
            **{names[i]: _value(key, names[i]) for i, key in enumerate(path) if names[i] not in record},
        }
        for path, record in records
    ]


def _value(key: str, name: str) -> Any:
    return parse_labelled(key) if name not in ("run", "variant", "key") and _is_value(key) else key


def _level_name(
    keys: Sequence[str], records: Sequence[tuple[tuple[str, ...], Record]], taken: set[str]
) -> str:
    """The column that the keys of one level stand for."""
    present = {name for _, record in records[:50] for name, _ in flatten(record)} | taken
    has_hp = any(hp_rank(name) is not None for name in present)
    has_scale = any(rank(name, SCALES) is not None for name in present)
    filled = [key for key in keys if key]
    if {key.lower() for key in filled} <= GENERIC:
        return "key"
    if filled and all(_is_value(key) for key in filled):
        if label := _axis_name(filled[0]):
            return label
        if not (has_hp and has_scale):
            small = min(value for key in filled if (value := parse(key)) is not None) < 1
            return "lr" if (small and not has_hp) or has_scale else "width"
    if len(set(filled)) == len(records) > 1 or "variant" in present:
        return "run" if "run" not in present else "key"
    return "variant"
