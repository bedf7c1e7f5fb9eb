"""Runs: the table of a study's runs, as `runs.csv` and as a landscape."""

from __future__ import annotations

import csv
import hashlib
import io
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path

import numpy as np

from hptransfer.errors import StoreError
from hptransfer.landscape import FloatArray, Landscape, Source
from hptransfer.lm.config import RunRecord
from hptransfer.sweep.planner import PlannedRun
from hptransfer.sweep.schema import MEMBERS, NARROW, Member
from hptransfer.sweep.store import Store
from hptransfer.sweep.study import StudySpec

FILE = "runs.csv"
Row = dict[str, str | int | float | None]

# What each column of runs.csv holds, in order; wall_s, the only one that differs between two runs of the
# same study, comes last.
COLUMNS: Mapping[str, str] = {
    "variant": "curve family: the rule, with its weight decay where the spec lists decays",
    "width": "of the residual stream",
    "lr": "eta in SP coordinates: the learning rate of the hidden matrices",
    "lr_mup": "eta in muP coordinates: lr x width / base width",
    "seed": "of the initial weights",
    "data_seed": "of the batches",
    "weight_decay": "AdamW's lambda",
    "loss": "final validation loss, nats per token; nan where diverged or failed",
    "loss_se": "its standard error over validation sequences",
    "status": "done, diverged (a result) or failed (a fault, to be run again)",
    "initial_loss": "validation loss before the first step",
    "diverged_step": "first step whose loss was not finite",
    "tokens": "training tokens",
    "params": "trainable parameters",
    "flops": "of training, forward and backward",
    "round": "0: the grid; else the extension of the grid that asked for the run",
    "run_id": "hash of the run's spec",
    "error": "why it failed, in one line",
    "wall_s": "the run's share of its stack's wall time, seconds",
}
_EXTRA = ("lr_mup", "weight_decay", "tokens", "params", "flops", "initial_loss")


def table(store: Store, variants: Iterable[str]) -> list[Row]:
    """One row a run of the study that has a record, by variant in this order, width, LR and seed."""
    names = (*MEMBERS, "status", *NARROW)
    pick = itemgetter(*(names.index(name) for name in COLUMNS))
    found: list[Row] = [dict(zip(COLUMNS, pick(values), strict=True)) for values in store.rows()]
    for row in found:
        if row["status"] != "done":
            row["loss"] = math.nan
    order = {variant: place for place, variant in enumerate(variants)}
    return sorted(
        found, key=lambda row: (order.get(str(row["variant"]), -1), row["width"], row["lr"], row["seed"])
    )


def member(spec: StudySpec, round_: int, run: PlannedRun) -> Member:
    """A planned run's place in its study."""
    return Member(
        run_id=run.run_id,
        variant=run.variant,
        round=round_,
        width=run.spec.model.width,
        lr=run.spec.lr,
        lr_mup=spec.lr_at(run.index, run.spec.model.width, "mup"),
        seed=run.spec.seed,
        data_seed=run.spec.data_seed,
        weight_decay=run.spec.train.weight_decay,
    )


def level(record: RunRecord) -> float:
    """A finished run's loss as the planner sees it: infinite where it diverged."""
    return record.loss if record.status == "done" and math.isfinite(record.loss) else math.inf


def csv_bytes(rows: Sequence[Row]) -> bytes:
    """The text of runs.csv: floats in full (`repr`), nothing for what is not known."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([row[name] for name in COLUMNS] for row in rows)
    return text.getvalue().encode()


def csv_sha256(rows: Sequence[Row]) -> str:
    """sha256 of runs.csv, hex."""
    return hashlib.sha256(csv_bytes(rows)).hexdigest()


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """Write runs.csv, whole or not at all.

    Raises:
        StoreError: the file cannot be written.
    """
    draft = path.with_suffix(".csv.part")
    try:
        draft.write_bytes(csv_bytes(rows))
        os.replace(draft, path)
    except OSError as error:
        raise StoreError(f"the study's folder must be writable, but {path}: {error.strerror}") from error


def renew_csv(rows: Sequence[Row], path: Path, sha256: str | None) -> None:
    """Write runs.csv where it is missing or is not what `sha256` says of it; errors as for `write_csv`."""
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        write_csv(rows, path)


def landscape(rows: Sequence[Row], source: Source) -> Landscape:
    """The finished runs, with eta in SP coordinates; failed ones are left out.

    Raises:
        LandscapeError: no run is finished.
    """
    finished = [row for row in rows if row["status"] != "failed"]

    def column(name: str) -> FloatArray:  # where a value is None: nan
        return np.array([row[name] for row in finished], dtype=np.float64)

    return Landscape(
        variant=np.array([row["variant"] for row in finished], dtype=np.str_),
        scale=column("width"),
        hp=column("lr"),
        seed=np.array([str(row["seed"]) for row in finished], dtype=np.str_),
        loss=column("loss"),
        extra={name: column(name) for name in _EXTRA},
        source=source,
    )
