"""The curves and probes of a study's runs, for its dynamics."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hptransfer.dynamics.probe_table import ProbeLog
from hptransfer.dynamics.spikes import unpack_spikes
from hptransfer.dynamics.study import RunDynamics, StudyDynamics
from hptransfer.runs.config import RunRecord
from hptransfer.study.runs_table import Row, RunsTable
from hptransfer.study.spec import StudySpec
from hptransfer.study.store import Store

if TYPE_CHECKING:
    from hptransfer.study.run import StudyResult

MOST_RUNS = 5000  # of a study whose page shows curves and probes; a larger study's page leaves them out


def study_dynamics(folder: str | Path) -> StudyDynamics | None:
    """The dynamics of a study from its folder, as far as it is finished, also while it runs.

    `hp` is in the coordinates of the study's grid, in which one learning rate is meant to serve all widths.

    Returns:
        None for a study of more runs than a page can show.

    Raises:
        StoreError: there is no study in the folder, or its store cannot be read.
    """
    with Store(Path(folder), read_only=True) as store:
        spec = store.spec()
        if store.finished() > MOST_RUNS:
            return None
        return _of_rows(spec, RunsTable.of(store, spec).rows, store.records())


def result_dynamics(result: StudyResult) -> StudyDynamics | None:
    """`study_dynamics` of a study that was read before, without reading its table again."""
    if len(result.sweep) > MOST_RUNS:
        return None
    with Store(result.folder, read_only=True) as store:
        return _of_rows(result.spec, result.rows, store.records())


def _of_rows(spec: StudySpec, rows: Sequence[Row], records: Mapping[str, RunRecord]) -> StudyDynamics:
    """The same from the rows of runs.csv, with the records by run id."""
    column = "lr_mup" if spec.lr.coordinates == "mup" else "lr"
    label = "lr (muP coordinates)" if column == "lr_mup" else "lr (SP coordinates)"
    decays = {name: decay for name, (_, decay) in spec.variants_with_decay().items()}
    runs = (_run(row, column, records[str(row["run_id"])]) for row in rows if row["status"] != "failed")
    return StudyDynamics(tuple(runs), "width", label, decays)


def _run(row: Row, column: str, record: RunRecord) -> RunDynamics:
    return RunDynamics(
        run=record.run_id,
        variant=str(row["variant"]),
        scale=_float_or_nan(row["width"]),
        hp=_float_or_nan(row[column]),
        seed=str(row["seed"]),
        status=record.status,
        loss=record.loss if record.status == "done" else math.nan,
        steps=tuple(step for step, _ in record.curve),
        curve=tuple(loss for _, loss in record.curve),
        diverged_step=record.diverged_step,
        probes=None if record.probes is None else ProbeLog.from_data(record.probes),
        known_spikes=None if record.spikes is None else unpack_spikes(record.spikes),
    )


def _float_or_nan(value: str | int | float | None) -> float:
    return math.nan if value is None else float(value)
