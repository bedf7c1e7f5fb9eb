"""CoordCheck: what a coordinate check found, immutable; its table, frame, figure and JSON."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hptransfer.dynamics.slopes import LayerCheck
from hptransfer.errors import DynamicsError
from hptransfer.files import write_whole
from hptransfer.version import __version__
from hptransfer.words import percent, plural, precise, rough

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

SCHEMA = 1
TABLES = ("layers", "slopes", "sizes")
UNSEEN = (
    "Not seen: weight decay (none is used), Adam's eps and whatever else the optimizer's state hides, LR "
    "schedules, depth, and all that comes after these few steps."
)
NO_PROOF = (
    "A flat check does not prove that a learning rate transfers; a failed one shows that it should not."
)


@dataclass(frozen=True, repr=False, eq=False)
class CoordCheck:
    """What a coordinate check found.

    Attributes:
        layers: one verdict a layer, in the order of the forward pass.
        sizes: by layer, measured sizes, shape [widths, seeds, steps + 1, quantities]; quantities are the RMS
            and the mean absolute value of the output, then of its change since initialisation.
        losses: before each training step, nats, shape [widths, seeds, steps].
        settings: rule, coordinates, widths, base_width, steps, seeds, lr, optimizer, level, threshold.
        notes: what a reader should know, one line each: where the rule itself departs from muP, layers left
            out.
    """

    layers: tuple[LayerCheck, ...]
    sizes: Mapping[str, NDArray[np.float64]]
    losses: NDArray[np.float64]
    settings: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether no layer grows or shrinks; layers that are undecided do not fail."""
        return not self.failures

    @property
    def failures(self) -> tuple[LayerCheck, ...]:
        """The layers that grow or shrink."""
        return tuple(layer for layer in self.layers if layer.failed)

    def summary(self) -> str:
        """The verdict, a row a layer, and what the check cannot see, as plain text."""
        s = self.settings
        head = (
            f"coordinate check of {s['rule']}: {'passed' if self.passed else 'FAILED'} ({self._counts()})",
            f"widths {', '.join(map(str, s['widths']))}; base {s['base_width']}; {s['coordinates']} "
            f"coordinates, lr {precise(s['lr'])}; {s['optimizer']}; {plural(s['steps'], 'step')}, "
            f"{plural(s['seeds'], 'seed')}; slopes of log2 RMS on log2 width, {percent(s['level'], 4)} "
            f"intervals; flat: {' to '.join(map(precise, s['threshold']))}",
        )
        return "\n".join([*head, self._losses(), "", *self._rows(), "", *self.notes, UNSEEN, NO_PROOF])

    def _losses(self) -> str:
        first, last = (self.losses[:, :, i].mean(axis=1) for i in (0, -1))
        pairs = (f"{rough(a)} to {rough(b)}" for a, b in zip(first, last, strict=True))
        return f"training loss, first to last step, by width: {', '.join(pairs)}"

    def _counts(self) -> str:
        counts: Counter[str] = Counter(layer.verdict for layer in self.layers)
        order = ("grows", "shrinks", "undecided", "stable")
        return ", ".join(f"{counts[v]} {v}" for v in order if counts[v])

    def _rows(self) -> list[str]:
        last = self.settings["steps"]
        rows = [["layer", "verdict", "change, step 1", f"change, step {last}", f"output, step {last}", ""]]
        for layer in self.layers:
            slopes = (layer.change[0], layer.change[-1], layer.activation[-1])
            rows.append([layer.name or "(the model)", layer.verdict, *map(str, slopes), layer.reason])
        widths = [max(len(row[i]) for row in rows) for i in range(5)] + [0]
        return ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]

    def to_frame(self, table: str = "layers") -> pd.DataFrame:
        """One table as a pandas frame.

        Args:
            table: `layers` (a row a verdict), `slopes` (a row for every layer, quantity and step), or
                `sizes` (a row for every layer, width, seed and step).

        Raises:
            DynamicsError: there is no such table.
        """
        import pandas as pd

        if table not in TABLES:
            raise DynamicsError(f"the table must be one of {', '.join(TABLES)}, but got {table!r}")
        if table == "sizes":
            return pd.DataFrame(self._size_rows())
        return pd.DataFrame(
            [row for x in self.layers for row in (_slopes(x) if table == "slopes" else [_verdict(x)])]
        )

    def _size_rows(self) -> list[dict[str, Any]]:
        from hptransfer.dynamics.activation_trace import QUANTITIES

        return [
            {"layer": name, "width": width, "seed": seed, "step": step}
            | dict(zip(QUANTITIES, map(float, found[i, seed, step]), strict=True))
            for name, found in self.sizes.items()
            for i, width in enumerate(self.settings["widths"])
            for seed in range(found.shape[1])
            for step in range(found.shape[2])
        ]

    def plot(self, layers: str | None = None) -> list[Axes]:
        """RMS change against width, a panel a layer, a line a step; `check.plot()[0].figure` is the figure.

        Args:
            layers: pattern of the names to draw, such as `blocks.0.*`; None draws all.

        Raises:
            DynamicsError: no layer matches.
        """
        from hptransfer.dynamics.plot import plot_check

        return plot_check(self.layers, self.sizes, self.settings, layers)

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """Verdicts and slopes as JSON (schema version 1), written to `path` where one is given."""
        data = {
            "schema": SCHEMA,
            "version": __version__,
            "passed": self.passed,
            "settings": dict(self.settings),
            "layers": [_verdict(x) | {"slopes": [_jsonable(row) for row in _slopes(x)]} for x in self.layers],
            "notes": [*self.notes, UNSEEN, NO_PROOF],
        }
        text = json.dumps(data, indent=1, allow_nan=False)
        if path is not None:
            write_whole(path, f"{text}\n".encode())
        return text

    def __repr__(self) -> str:
        return self.summary()


def _verdict(layer: LayerCheck) -> dict[str, Any]:
    return {"layer": layer.name, "verdict": layer.verdict, "reason": layer.reason}


def _slopes(layer: LayerCheck) -> list[dict[str, Any]]:
    names = ("layer", "quantity", "step", "slope", "low", "high")
    return [
        dict(zip(names, (layer.name, quantity, s.step, s.value, s.low, s.high), strict=True))
        for quantity, slopes in (("activation", layer.activation), ("change", layer.change))
        for s in slopes
    ]


def _jsonable(row: dict[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in row.items() if k != "layer"}
    return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in kept.items()}
