"""Runs that were trained elsewhere, added to a study's store from record tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from hptransfer.errors import SpecError
from hptransfer.study.corpus import check_corpus, corpus_of
from hptransfer.study.merge import Added, assign_places
from hptransfer.study.planner import plan
from hptransfer.study.record_table import TableRow, read_records, write_records
from hptransfer.study.runs_table import planner_loss
from hptransfer.study.spec import StudySpec
from hptransfer.study.store import STORE_FILE, Store


def import_records(folder: Path, tables: Sequence[Path], spec: StudySpec | None = None) -> Added:
    """Take runs that were trained elsewhere into a study, as if they had been trained here.

    A run counts where its id, the hash of all that decides its numbers, is one that the study plans, and
    its corpus is the study's. A run that is there already stays as it is, so importing a table twice changes
    nothing. Each machine's provenance is kept as a session of its own, and device and versions stay in the
    runs' records.

    Args:
        folder: of a study, or of none yet.
        tables: record tables, as `export_records` writes them.
        spec: of the study; default: the one in the folder.

    Raises:
        SpecError: there is no study in the folder and no spec is given.
        StoreError: a table cannot be read, its runs saw another text, or the store cannot be used.
        DataError: the study's own text cannot be found.
    """
    rows = {row.record.run_id: row for path in tables for row in read_records(path)}
    spec = _stored_spec(folder) if spec is None else spec
    where = ", ".join(str(path) for path in tables)
    if spec.trial.kind == "builtin":  # a user's own code has no corpus that could be compared
        check_corpus(corpus_of(spec), [row.record for row in rows.values()], where)
    if not rows.keys() & _asked_for(spec, rows):
        raise SpecError(f"{where} must hold runs that the study {spec.name!r} plans, but holds none of them")
    with Store(folder) as store:
        finished = store.losses()
        new = {run_id: row for run_id, row in rows.items() if run_id not in finished}
        wanted = _asked_for(spec, new, finished)
        taken = [row for run_id, row in new.items() if run_id in wanted]
        sessions: dict[str, list[TableRow]] = {}  # of the machines that trained the runs
        for row in taken:
            sessions.setdefault(json.dumps(row.origin, sort_keys=True), []).append(row)
        for rows_of_one in sessions.values():
            store.begin(spec, rows_of_one[0].origin)
            store.add("imported", [(row.run, row.record) for row in rows_of_one])
        known = len(rows) - len(new)
        return Added(spec, len(taken), known, len(new) - len(taken), assign_places(store, spec))


def export_records(folder: Path, path: Path) -> int:
    """Write a study's finished runs as a record table, also while the study runs; returns how many.

    Raises:
        StoreError: the store cannot be read, or the table not written.
    """
    with Store(folder, read_only=True) as store:
        origins = store.origins()
        return write_records((TableRow(run, r, origins[r.run_id]) for run, r in store.runs()), path)


def _stored_spec(folder: Path) -> StudySpec:
    if not (folder / STORE_FILE).exists():
        raise SpecError(
            f"{folder} must hold a study to add the runs to, but holds none: give its spec with --spec"
        )
    with Store(folder, read_only=True) as store:
        return store.spec()


def _asked_for(
    spec: StudySpec, rows: Mapping[str, TableRow], finished: Mapping[str, float] | None = None
) -> set[str]:
    """Ids of every run that the study plans, as far as the rows' and the finished runs' losses decide it."""
    losses = {**{run_id: planner_loss(row.record) for run_id, row in rows.items()}, **(finished or {})}
    return {run.run_id for stack in plan(spec, losses) for run in stack.runs}
