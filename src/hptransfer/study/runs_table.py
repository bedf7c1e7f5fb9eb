"""The table of a study's runs, as `runs.csv` and as a sweep table."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np

from hptransfer.errors import StoreError
from hptransfer.files import printable, write_whole
from hptransfer.parametrization.catalogue import RULES, own_coordinates
from hptransfer.parametrization.coordinates import Coordinates
from hptransfer.runs.config import RunRecord
from hptransfer.study.spec import StudySpec
from hptransfer.study.stacks import PlannedRun
from hptransfer.study.store import Store
from hptransfer.study.store_schema import Place
from hptransfer.sweep.table import Columns, FloatArray, Source, SweepTable
from hptransfer.words import precise

RUNS_CSV = "runs.csv"
Value = str | int | float | None
Row = dict[str, Value]
Line = tuple[Value, ...]  # a row's values, in the order of RUN_COLUMNS: of many runs, dicts take long to make

# What each column of runs.csv holds, in order; wall_s, the only one that differs between two runs of the
# same study, comes last.
RUN_COLUMNS: Mapping[str, str] = {
    "variant": "curve family: the rule, with its weight decay where the spec lists decays",
    "width": "of the residual stream",
    "depth": "blocks",
    "batch_size": "sequences a step",
    "lr": "eta in SP coordinates: the learning rate of the hidden matrices",
    "lr_mup": "eta in muP coordinates: lr x width / base width; under SGD the same as lr",
    "seed": "of the initial weights",
    "data_seed": "of the batches",
    "weight_decay": "the optimizer's lambda",
    "loss": "final validation loss, nats per token; nan where diverged or failed",
    "loss_se": "its standard error over validation sequences",
    "status": "done, diverged (a result) or failed (a fault, to be run again)",
    "initial_loss": "validation loss before the first step",
    "diverged_step": "step from which on it counts as diverged; blank where only the final loss says so",
    "tokens": "training tokens",
    "params": "trainable parameters",
    "flops": "of training, forward and backward",
    "round": "0: the grid; else the extension of the grid that asked for the run",
    "run_id": "hash of the run's spec",
    "error": "why it failed, in one line",
    "wall_s": "the run's share of its stack's wall time, seconds",
}
_PLACE = {name: place for place, name in enumerate(RUN_COLUMNS)}
_STATUS = _PLACE["status"]
_SHAPE = ("depth", "batch_size")  # of the run's spec, not in the store's rows
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for the start of a formula
_EXTRA = ("depth", "batch_size", "lr_mup", "weight_decay", "tokens", "params", "flops", "initial_loss")


@dataclass(frozen=True)
class RunsTable:
    """The runs of a study that have a record, by variant in the spec's order, size, LR and seed."""

    lines: Sequence[Line] = field(repr=False)

    @classmethod
    def of(cls, store: Store, spec: StudySpec) -> RunsTable:
        """The table of the study in a store; the loss of a run that is not done is NaN."""
        variant, after_width = _PLACE["variant"], _PLACE["width"] + 1
        shapes = _shapes(store, spec)
        found: list[Line] = []
        for run_id, *row in store.rows(["run_id", *(name for name in RUN_COLUMNS if name not in _SHAPE)]):
            line = (*row[:after_width], *shapes(str(run_id)), *row[after_width:])
            found.append(line if line[_STATUS] == "done" else _of_no_loss(line))
        order: dict[Value, int] = {name: place for place, name in enumerate(spec.variants_with_decay())}
        size = [_PLACE[name] for name in ("width", *_SHAPE, "tokens")] if spec.axes else []
        found.sort(  # stable: the rest is the store's order
            key=lambda line: (order.get(line[variant], -1), *(float(line[i] or 0) for i in size))
        )
        return cls(found)

    @cached_property
    def rows(self) -> list[Row]:
        """The lines by name of column."""
        return _as_rows(self.lines)

    @property
    def failed(self) -> list[Row]:
        """The lines of failed runs, by name of column."""
        return _as_rows(line for line in self.lines if line[_STATUS] == "failed")

    @cached_property
    def content(self) -> bytes:
        """The text of runs.csv: floats in full (`repr`), nothing for what is not known."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([tuple(RUN_COLUMNS), *self.lines])
        return text.getvalue().encode()

    def write(self, folder: Path) -> None:
        """Write runs.csv into a folder, whole or not at all.

        Raises:
            StoreError: the file cannot be written.
        """
        path = folder / RUNS_CSV
        try:
            write_whole(path, self.content)
        except OSError as error:
            raise StoreError(f"the study's folder must be writable, but {path}: {error.strerror}") from error


def _shapes(store: Store, spec: StudySpec) -> Callable[[str], tuple[int, int]]:
    """Depth and batch size of a run by its id: those of the spec, unless its scale has some of its own."""
    given = spec.sizes[0].given
    if "depth" in given or "batch_size" in given:
        return store.shapes().__getitem__
    usual = spec.model.depth, spec.train.batch_size
    return lambda _: usual


def _of_no_loss(line: Line) -> Line:
    """A line of a run that is not done; its error is shown so that no spreadsheet reads it as a formula."""
    found = list(line)
    found[_PLACE["loss"]] = math.nan
    error = line[_PLACE["error"]]
    if isinstance(error, str):
        found[_PLACE["error"]] = "'" * error.startswith(_FORMULA) + printable(error)
    return tuple(found)


def _as_rows(lines: Iterable[Line]) -> list[Row]:
    return [dict(zip(RUN_COLUMNS, line, strict=True)) for line in lines]


def place_of(spec: StudySpec, round_: int, run: PlannedRun) -> Place:
    """A planned run's place in its study; round 0 is the grid."""
    return Place(
        run_id=run.run_id,
        variant=run.variant,
        round=round_,
        width=run.size.width,
        lr=run.spec.lr,
        lr_mup=spec.lr_at(run.index, run.size.width, "mup", run.spec.train.optimizer),
        seed=run.spec.seed,
        data_seed=run.spec.data_seed,
        weight_decay=run.spec.train.weight_decay,
    )


def planner_loss(record: RunRecord) -> float:
    """A finished run's loss as the planner sees it: infinite where it diverged."""
    return record.loss if record.status == "done" and math.isfinite(record.loss) else math.inf


def coordinates_of(spec: StudySpec) -> dict[str, Coordinates]:
    """By variant, the coordinates of the LR that its user sets; variants of the user's own code have none."""
    rules = {name: rule for name, (rule, _) in spec.variants_with_decay().items()}
    return {name: own_coordinates(rule) for name, rule in rules.items() if rule in RULES}


def sweep_table(
    lines: Sequence[Line],
    source: Source,
    optimizers: Mapping[str, str],
    own: Mapping[str, Coordinates] = MappingProxyType({}),
    base_scale: float | None = None,
    axes: tuple[str, ...] = (),
) -> SweepTable:
    """The finished runs, with eta in SP coordinates; failed ones are left out.

    Over several axes, eta is the value that a variant's user sets: in muP coordinates where they are its own.

    Optimizers and the coordinates of the LR that a user sets are by variant; `base_scale` is where all agree.

    Raises:
        SweepError: no run is finished.
    """
    finished = [line for line in lines if line[_STATUS] != "failed"]

    def values(name: str) -> list[Value]:
        place = _PLACE[name]
        return [line[place] for line in finished]

    def column(name: str) -> FloatArray:  # where a value is None: nan
        return np.array(values(name), dtype=np.float64)

    variant = np.array(values("variant"), dtype=np.str_)
    scale = axes[0] if axes else "width"
    in_mup = [bool(axes) and own.get(str(name)) == "mup" for name in variant]
    extra = {name: column(name) for name in ("width", *_EXTRA) if name != scale}
    return SweepTable(
        variant=variant,
        scale=column(scale),
        hp=np.where(in_mup, column("lr_mup"), column("lr")),
        seed=np.array([str(seed) for seed in values("seed")], dtype=np.str_),
        loss=column("loss"),
        extra=extra,
        columns=Columns(scale=scale),
        source=source,
        notes=_coordinates_note(dict.fromkeys(variant[in_mup].tolist()), base_scale),
        optimizers=optimizers,
        own_coordinates=own,
        base_scale=None if axes else base_scale,
        axes=axes,
    )


def _coordinates_note(in_mup: Iterable[str], base: float | None) -> tuple[str, ...]:
    """Says whose learning rates are in muP coordinates; nothing where none are."""
    if not (names := ", ".join(in_mup)):
        return ()
    at = "base width" if base is None else precise(base)
    return (f"learning rates of {names} are in muP coordinates, as their user sets them: lr x width / {at}",)
