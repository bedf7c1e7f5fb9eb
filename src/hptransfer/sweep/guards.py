"""What readers of other people's tables check: the file, the labels, and cells that cannot be read."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hptransfer.errors import SweepError
from hptransfer.files import printable, read_regular, size_limit
from hptransfer.words import count

MAX_BYTES = 512 << 20  # of a table's file; in memory it takes some ten times as much
MAX_LABEL = 1000  # characters of a variant's or a seed's label


@dataclass(frozen=True)
class Unreadable:
    """Stands in the cells of a column that cannot be converted; nobody may have asked for it."""

    reason: str  # in one line

    def __str__(self) -> str:
        raise SweepError(f"a column that is read must be readable, but: {self.reason}")

    def __repr__(self) -> str:
        return f"unreadable ({self.reason})"


def read_content(path: str | os.PathLike[str]) -> bytes:
    """The content of a table's file.

    Raises:
        SweepError: it cannot be read, is no regular file, is too large or empty.
    """
    shown = printable(str(path))
    try:
        content = read_regular(path, MAX_BYTES)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SweepError(f"cannot read {shown}: {reason}") from None
    if not content.strip():
        raise SweepError(f"a sweep table needs at least one run, but {shown} is empty")
    return content


def check_cells(rows: int, columns: int, name: str) -> None:
    """Refuse a compressed table that would take far more memory than its file.

    Raises:
        SweepError: it has more cells than a file of the largest size could hold as text.
    """
    most = size_limit(MAX_BYTES) // 8
    if rows * max(columns, 1) > most:
        raise SweepError(
            f"a table may have at most {count(most)} cells, but {name} has {count(rows)} x {count(columns)}"
        )


def convert(cells: Callable[[], list[Any]], rows: int, column: str) -> list[Any]:
    """A column's cells; where they cannot be converted, stand-ins that are an error when read."""
    try:
        return cells()
    except Exception as error:  # whatever another library says of dates, zones or text
        reason = " ".join(printable(str(error)).split())
        return [Unreadable(f"{printable(column)!r:.60}: {type(error).__name__}: {reason:.100}")] * rows


def is_readable(cells: Sequence[Any] | NDArray[np.float64]) -> bool:
    """Whether a column could be converted."""
    return isinstance(cells, np.ndarray) or Unreadable not in set(map(type, cells))


def check_labels(labels: Sequence[str], what: str) -> list[str]:
    """Labels that can be shown and stored: control characters are written as escapes.

    Raises:
        SweepError: one is too long, or two would look the same.
    """
    distinct = set(labels)
    longest = max(distinct, key=len, default="")
    if len(longest) > MAX_LABEL:
        raise SweepError(
            f"a label of {what} may have at most {MAX_LABEL} characters, but {printable(longest)[:30]!r}... "
            f"has {count(len(longest))}"
        )
    escaped = {label: shown for label in distinct if (shown := printable(label)) != label}
    if len(set(escaped.values()) - distinct) < len(escaped):
        raise SweepError(f"labels of {what} must differ in what can be seen, but two are the same")
    return [escaped.get(label, label) for label in labels] if escaped else list(labels)
