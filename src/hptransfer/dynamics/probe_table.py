"""ProbeTable: what probes measured, one row a value; ProbeLog, the same of one run, packed. No torch here."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hptransfer.errors import DynamicsError
from hptransfer.files import write_whole
from hptransfer.words import plural

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]
StrArray = NDArray[np.str_]
IntArray = NDArray[np.int64]
Row = tuple[str, str, str]  # layer, role, name

COLUMNS = ("run", "step", "layer", "role", "name", "value")
_DIGITS = 7  # significant, of a stored value: what float32 has


@dataclass(frozen=True, eq=False)
class ProbeLog:
    """The probes of one run.

    Attributes:
        steps: optimizer steps taken before the measured update (0 is the first update), ascending.
        rows: layer, role and name of each column; layer and role are empty for the run as a whole.
        values: shape [steps, rows]; NaN where a value is not known.
    """

    steps: tuple[int, ...]
    rows: tuple[Row, ...]
    values: FloatArray

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.steps), len(self.rows)):
            raise DynamicsError(
                f"the values of a probe log must have the shape [steps, rows] = "
                f"[{len(self.steps)}, {len(self.rows)}], but got {list(self.values.shape)}"
            )

    def as_data(self) -> dict[str, Any]:
        """Plain data for JSON: seven significant digits, null for what is not finite."""
        return {
            "steps": list(self.steps),
            "rows": [list(row) for row in self.rows],
            "values": [[_plain(v) for v in line] for line in self.values],
        }

    @staticmethod
    def from_data(data: Mapping[str, Any]) -> ProbeLog:
        """What `as_data` gave.

        Raises:
            DynamicsError: it is something else.
        """
        try:
            rows = tuple((str(a), str(b), str(c)) for a, b, c in data["rows"])
            steps = tuple(int(step) for step in data["steps"])
            flat = [np.nan if v is None else float(v) for line in data["values"] for v in line]
            return ProbeLog(steps, rows, np.array(flat).reshape(len(steps), len(rows)))
        except (KeyError, TypeError, ValueError) as error:
            raise DynamicsError(f"a probe log must hold steps, rows and values, but: {error!r}") from None


@dataclass(frozen=True, eq=False)
class ProbeTable:
    """Probes of any number of runs, a row a value; all columns have one length.

    Attributes:
        run: the run's id or name.
        step: optimizer steps taken before the measured update.
        layer: name of the layer or tensor; empty for the run as a whole.
        role: embedding, hidden, readout, vector or scalar; empty for the run as a whole.
        name: of the probe, see `hptransfer.runs.probe_names`.
        value: in the unit that its name has.
    """

    run: StrArray
    step: IntArray
    layer: StrArray
    role: StrArray
    name: StrArray
    value: FloatArray

    def __len__(self) -> int:
        return len(self.value)

    def select(self, **wanted: str | int | Sequence[str] | Sequence[int]) -> ProbeTable:
        """The rows whose columns hold one of the values wanted, such as `name="relative_update"`.

        Raises:
            DynamicsError: there is no such column.
        """
        if unknown := [column for column in wanted if column not in COLUMNS[:-1]]:
            raise DynamicsError(f"rows must be selected by {', '.join(COLUMNS[:-1])}, but got {unknown[0]!r}")
        keep = np.ones(len(self), dtype=bool)
        for column, values in wanted.items():
            listed: list[Any] = [values] if isinstance(values, (str, int)) else list(values)
            keep &= np.isin(getattr(self, column), np.array(listed))
        return ProbeTable(*(getattr(self, column)[keep] for column in COLUMNS))

    def to_frame(self) -> pd.DataFrame:
        """A pandas frame with the columns run, step, layer, role, name, value."""
        import pandas as pd

        return pd.DataFrame({column: getattr(self, column) for column in COLUMNS})

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the table as CSV with a header."""
        write_whole(path, self.to_frame().to_csv(index=False, lineterminator="\n").encode())

    def __repr__(self) -> str:
        names = ", ".join(sorted(set(self.name.tolist())))
        runs, steps = (len(set(column.tolist())) for column in (self.run, self.step))
        extent = f"{plural(len(self), 'value')} of {plural(runs, 'run')} at {plural(steps, 'step')}"
        return f"ProbeTable({extent}: {names or 'nothing'})"


def table(logs: Mapping[str, ProbeLog] | Iterable[tuple[str, ProbeLog]]) -> ProbeTable:
    """The logs of some runs as one table, by run id; values that are not finite are left out."""
    pairs = logs.items() if isinstance(logs, Mapping) else logs
    parts = [_columns("", ProbeLog((), (), np.zeros((0, 0)))), *(_columns(run, log) for run, log in pairs)]
    whole = [np.concatenate(column) for column in zip(*parts, strict=True)]
    keep = np.isfinite(whole[-1])
    return ProbeTable(*(column[keep] for column in whole))


def _columns(run: str, log: ProbeLog) -> tuple[Any, ...]:
    steps, rows = log.values.shape
    parts = [np.array([row[i] for row in log.rows], dtype=np.str_) for i in range(3)]
    return (
        np.full(steps * rows, run),
        np.repeat(np.array(log.steps, dtype=np.int64), rows),
        *(np.tile(part, steps) for part in parts),
        log.values.ravel(),
    )


def _plain(value: float) -> float | None:
    return float(f"{value:.{_DIGITS}g}") if np.isfinite(value) else None
