"""A second hyperparameter, profiled out: of its levels, each run group keeps the one with the lowest loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hptransfer.sweep.table import FloatArray


def group_numbers(*keys: Sequence[Any] | NDArray[np.generic]) -> NDArray[np.int64]:
    """Number of the group of each row, rows with equal keys being one group, shape [rows]."""
    group = _codes(keys[0])
    for key in keys[1:]:
        codes = _codes(key)
        group *= codes.max() + 1
        group += codes
        del codes  # a million rows count
        group = _codes(group)  # renumbered each time, lest the product overflow
    return group


def _codes(key: Sequence[Any] | NDArray[np.generic]) -> NDArray[np.int64]:
    if isinstance(key, np.ndarray) and key.dtype.kind in "ifU":
        return np.asarray(np.unique(key, return_inverse=True)[1], dtype=np.int64)
    numbers: dict[Any, int] = {}
    return np.array([numbers.setdefault(label, len(numbers)) for label in key], dtype=np.int64)


def profile_out(
    cell: NDArray[np.int64], second: FloatArray, loss: FloatArray
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which rows to keep: per cell, and per replicate within it, the row with the lowest loss.

    Replicates are the repeated rows of one cell at one level of the second hyperparameter, in their order:
    the first of every level are compared with each other, then the seconds, so that seeds without a label do
    not compete. The lowest of several noisy losses is biased low: by 0.56, 0.85, 1.03, 1.16 standard
    deviations of the noise for 2, 3, 4, 5 levels that are truly equal, and by less where one stands out.

    Args:
        cell: group of (variant, scale, hp, seed) of each row, shape [rows].
        second: the second hyperparameter, shape [rows].
        loss: shape [rows], NaN where diverged; a diverged row is kept only where all of its group diverged.

    Returns:
        The mask of rows to keep, shape [rows], and the number of levels each kept row was chosen from.
    """
    replicate = _count_within(group_numbers(cell, second))
    group = group_numbers(cell, replicate)
    order = np.lexsort((np.where(np.isnan(loss), np.inf, loss), group))
    first = order[np.flatnonzero(np.diff(group[order], prepend=-1))]
    kept = np.zeros(loss.size, dtype=np.bool_)
    kept[first] = True
    return kept, np.bincount(group)[group[kept]]


def _count_within(group: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many earlier rows are of the same group, shape [rows]."""
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    lengths = np.diff(starts, append=group.size)
    count = np.empty(group.size, dtype=np.int64)
    count[order] = np.arange(group.size) - np.repeat(starts, lengths)
    return count
