"""SweepTable: the tidy table loss(variant, scale, hp, seed) that everything downstream reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hptransfer.errors import SweepError
from hptransfer.parametrization.coordinates import Coordinates
from hptransfer.runs.divergence import ends_diverged
from hptransfer.words import loss_text, plural, precise

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]
StrArray = NDArray[np.str_]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

LARGEST_LOSS = 1e15  # beyond it a run has diverged; sums of squares of such losses overflow in a fit


@dataclass(frozen=True)
class Source:
    """Where a sweep table came from."""

    path: str | None = None  # the file (or files, comma-separated), or None when built in memory
    # Of the file's bytes (of all files', one after the other), hex; None when built in memory.
    sha256: str | None = None


@dataclass(frozen=True)
class Columns:
    """The user's own names for the columns, used in every table and axis label."""

    scale: str = "width"
    hp: str = "lr"
    loss: str = "loss"
    variant: str = "variant"
    seed: str = "seed"


@dataclass(frozen=True)
class LossMetric:
    """What the losses of a table are (see `hptransfer.sweep.metric`); lower is better in every table."""

    name: str = "nats"  # nats, bits, perplexity, mse, error, accuracy, or the user's own
    unit: str = "nats"  # of a cost, as sentences name it
    tolerance: float = 0.01  # cost that counts as none, where the user names no other
    relative: bool = False  # whether that is a share of the lowest loss at the largest scale, not nats
    nats: float = 1.0  # what one unit is in nats, where it is not relative


@dataclass(frozen=True, repr=False, eq=False)
class SweepTable:
    """Losses of runs over scale and hyperparameter, one row a run; the only thing `quantify` knows.

    Rows are never merged: two rows with the same variant, scale, hyperparameter and seed are two replicate
    runs. (`quantify` fits rows that agree in a finite loss as well once; counts of runs count every row.)

    Raises:
        SweepError: where there is no run, shapes differ, or a scale or hyperparameter is not
            positive and finite.
    """

    variant: StrArray  # name of the curve family of each run, shape [runs]
    scale: FloatArray  # n > 0, shape [runs]; width unless the user says otherwise
    hp: FloatArray  # eta > 0, shape [runs], in the units of `columns.hp`
    seed: StrArray  # label of the seed, shape [runs]; empty where unknown
    # Nats per token, shape [runs]; NaN where the run has none (a loss that is infinite, or beyond
    # LARGEST_LOSS, becomes NaN). See `diverged`.
    loss: FloatArray
    # Further numeric columns (tokens, params, flops, initial_loss ...), each of shape [runs].
    # `initial_loss`, the loss before the first step, is NaN where it is not known.
    extra: Mapping[str, FloatArray] = field(default_factory=dict)
    columns: Columns = field(default_factory=Columns)  # the user's names
    source: Source = field(default_factory=Source)  # provenance of the table
    # What a reader of the result should know about how the table was read, one line each.
    notes: tuple[str, ...] = ()
    # By variant, the name of the optimizer that trained its runs, where known; it decides how learning
    # rates change from one coordinates to the other. A variant without one counts as AdamW's.
    optimizers: Mapping[str, str] = field(default_factory=dict)
    # By variant, the coordinates of the learning rate that its user sets (`sp` or `mup`), where known.
    own_coordinates: Mapping[str, Coordinates] = field(default_factory=dict)
    base_scale: float | None = None  # where all coordinates agree; None counts as the smallest scale
    metric: LossMetric = field(default_factory=LossMetric)  # what the losses are
    # Which columns were taken for what where nobody named them, in one line; empty where all were plain.
    taken: str = ""
    # Names of all hyperparameters where several were asked for, in the user's order: `columns.hp` is one, the
    # others are in `extra`.
    hps: tuple[str, ...] = ()
    # Names of the axes where the scale has several: the first is `columns.scale`, the others are in `extra`.
    axes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("variant", "seed"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.str_))
        for name in ("scale", "hp", "loss"):
            object.__setattr__(self, name, _floats(name, getattr(self, name)))
        object.__setattr__(self, "extra", {k: _floats(k, v) for k, v in self.extra.items()})
        object.__setattr__(self, "loss", np.where(np.abs(self.loss) <= LARGEST_LOSS, self.loss, np.nan))
        self._check()

    def _check(self) -> None:
        shape = self.loss.shape
        if len(shape) != 1 or shape[0] == 0:
            raise SweepError(f"a sweep table needs at least one run, as 1-d columns, but got shape {shape}")
        columns = {"variant": self.variant, "scale": self.scale, "hp": self.hp, "seed": self.seed}
        for name, column in (*columns.items(), *self.extra.items()):
            if column.shape != shape:
                raise SweepError(
                    f"columns must be of equal length, but got {plural(shape[0], 'loss', 'losses')} "
                    f"and {name} {column.shape}"
                )
        for name in ("scale", "hp"):
            column = getattr(self, name)
            bad = np.flatnonzero(~((column > 0) & np.isfinite(column)))
            if bad.size:
                label = getattr(self.columns, name)
                raise SweepError(
                    f"{label} must be positive and finite, but row {bad[0]} has "
                    f"{label}={precise(column[bad[0]])}"
                )

    @property
    def variants(self) -> tuple[str, ...]:
        """Names of the variants, in order of first appearance."""
        return tuple(dict.fromkeys(self.variant.tolist()))

    @property
    def scales(self) -> FloatArray:
        """Scales with at least one run, ascending, shape [scales]."""
        return np.unique(self.scale)

    @property
    def diverged(self) -> BoolArray:
        """Which runs diverged, shape [runs]: no finite loss, or one above the run's own `initial_loss`.

        Every count of diverged runs (tables, pages, JSON) and the fit itself go by this.
        """
        return ends_diverged(self.loss, self.extra.get("initial_loss"))

    def optimizer_of(self, variant: str) -> str:
        """Name of the optimizer that trained a variant; `adamw` where the table does not say."""
        return self.optimizers.get(variant, "adamw")

    def __len__(self) -> int:
        return int(self.loss.size)

    def select(self, variant: str) -> SweepTable:
        """The runs of one variant, in their order.

        Raises:
            SweepError: where the variant is unknown.
        """
        if variant not in self.variants:
            raise SweepError(f"no variant {variant!r}; the sweep table has {_names(self.variants)}")
        return self.take(self.variant == variant)

    def take(self, rows: BoolArray) -> SweepTable:
        """The runs that a mask of shape [runs] picks, in their order; at least one."""
        return replace(
            self,
            **{name: getattr(self, name)[rows] for name in ("variant", "scale", "hp", "seed", "loss")},
            extra={name: values[rows] for name, values in self.extra.items()},
        )

    def to_frame(self) -> pd.DataFrame:
        """A pandas frame under the user's column names, one row a run, extra columns last."""
        import pandas as pd

        names = self.columns
        return pd.DataFrame(
            {
                names.variant: self.variant,
                names.scale: self.scale,
                names.hp: self.hp,
                names.seed: self.seed,
                names.loss: self.loss,
                **self.extra,
            }
        )

    def _repr_html_(self) -> str:
        """The first and last runs as a table, in a notebook."""
        head = f"<p>{plural(len(self), 'run')}, {int(self.diverged.sum())} diverged. {escape(self.taken)}</p>"
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return head + str(self.to_frame().to_html(max_rows=10, index=False)) + notes

    def __repr__(self) -> str:
        head = f"SweepTable: {plural(len(self), 'run')}, {int(self.diverged.sum())} diverged"
        origin = f", from {self.source.path}" if self.source.path else ""
        lines = [
            f"  {self.columns.variant}: {_names(self.variants)}",
            f"  {self.columns.scale}: {_numbers(self.scales)}",
            f"  {self.columns.hp}: {_numbers(np.unique(self.hp))}",
            f"  {self.columns.loss}: {_range(self.loss[~self.diverged])}",
        ]
        if self.extra:
            lines.append(f"  also: {_names(tuple(self.extra))}")
        return "\n".join([head + origin, *lines, *(f"  note: {note}" for note in self.notes)])


def _floats(name: str, values: ArrayLike) -> FloatArray:
    """`values` as a float array, or the error that names the column."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise SweepError(f"column {name} must be numeric: {error}") from None


def _names(names: tuple[str, ...], most: int = 8) -> str:
    """The first few of many names."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _numbers(values: FloatArray, most: int = 6) -> str:
    """A few values in full, many as a range."""
    if values.size <= most:
        return ", ".join(precise(v) for v in values)
    return f"{plural(values.size, 'value')} from {precise(values[0])} to {precise(values[-1])}"


def _range(loss: FloatArray) -> str:
    return f"{loss_text(loss.min())} to {loss_text(loss.max())}" if loss.size else "every run diverged"
