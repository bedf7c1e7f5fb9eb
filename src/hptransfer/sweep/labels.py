"""Labels of runs: the variant, out of one column or several, and the seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hptransfer.parametrization.catalogue import RULES, own_coordinates
from hptransfer.parametrization.coordinates import Coordinates
from hptransfer.sweep.guards import check_labels
from hptransfer.sweep.names import base_name
from hptransfer.sweep.raw_table import RawColumn, RawTable, candidates, find, floats, texts
from hptransfer.sweep.table import StrArray

BLANK_LABEL = "(blank)"  # of a variant without a name
ALL = "all"  # the one variant of a table without a variant column
WHOLE = 1e15  # below which a whole number has all of its digits in a label
PARAMETRIZATION = "parametrization"  # a column that names the rule of a run


def variant_labels(table: RawTable, columns: tuple[str, ...], name: str) -> StrArray:
    """Each row's variant, shape [rows].

    Raises:
        SweepError: where a label is too long, or two look the same.
    """
    return np.array(check_labels(_variants(table, columns), name))


def _variants(table: RawTable, columns: tuple[str, ...]) -> list[str]:
    if not columns:
        return [ALL] * len(table)
    if len(columns) > 1:
        parts = [_part(base_name(column), table.columns[column]) for column in columns]
        return [" ".join(row) for row in zip(*parts, strict=True)]
    labels = texts(table.columns[columns[0]])
    prefix = f"{base_name(columns[0])}=" if _are_flags(labels) else ""
    return [prefix + label if label else BLANK_LABEL for label in labels]


def _part(name: str, cells: RawColumn) -> list[str]:
    """A column's share in a joined label: `mup` as it stands, a number with its name, `epoch=5`."""
    labels = texts(cells)
    plain = np.isnan(floats(cells)[0]).all() and not _are_flags(labels)
    return [("" if plain else f"{name}=") + (label or BLANK_LABEL) for label in labels]


def _are_flags(labels: list[str]) -> bool:
    return {label.lower() for label in set(labels)} <= {"true", "false"}


def seed_labels(table: RawTable, column: str | None, name: str) -> StrArray:
    """Each row's seed, shape [rows]; empty where there is none.

    Raises:
        SweepError: where a label is too long, or two look the same.
    """
    if column is None:
        return np.full(len(table), "")
    cells = table.columns[column]
    return _of_numbers(cells) if isinstance(cells, np.ndarray) else np.array(check_labels(texts(cells), name))


def _of_numbers(cells: NDArray[np.float64], chunk: int = 10_000) -> StrArray:
    """Numbers as labels; not all at once as Python's texts, since a million of these take 60 MB."""
    levels, index = np.unique(cells, return_inverse=True)
    if (levels == np.round(levels)).all() and np.abs(levels).max() < WHOLE:
        levels = levels.astype(np.int64)
    labels = np.concatenate([np.array(texts(levels[i : i + chunk])) for i in range(0, len(levels), chunk)])
    return labels[index]


def own_coordinates_of(table: RawTable, labels: StrArray, name: str | None) -> dict[str, Coordinates]:
    """By variant, the coordinates that its user sets the learning rate in, where the table or `name` says."""
    if name is not None:
        return dict.fromkeys(labels.tolist(), own_coordinates(name))
    if not candidates(table, PARAMETRIZATION):
        return {}
    rules = texts(table.columns[find(table, PARAMETRIZATION, PARAMETRIZATION)])
    by_label = dict(zip(labels.tolist(), (rule.strip().lower() for rule in rules), strict=True))
    return {label: own_coordinates(rule) for label, rule in by_label.items() if rule in RULES}
