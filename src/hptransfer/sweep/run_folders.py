"""Folders of runs: W&B, Hydra, Ray Tune, MLflow, TensorBoard, Hugging Face, Lightning, one file a run."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from hptransfer.errors import HPTransferError, SweepError
from hptransfer.files import printable, size_limit
from hptransfer.sweep.files import KINDS, read_files
from hptransfer.sweep.guards import MAX_BYTES
from hptransfer.sweep.names import hp_rank, loss_rank
from hptransfer.sweep.options import ReadOptions
from hptransfer.sweep.printed_logs import LOGS, read_log
from hptransfer.sweep.raw_table import RawTable, columns_of, floats, make_table
from hptransfer.sweep.run_files import RESULTS, SETTINGS, Reader, read_mlflow, reader_of
from hptransfer.sweep.runs import LoggedRun, curves_of, has_steps, table_of_runs
from hptransfer.sweep.table import Source
from hptransfer.words import plural

MOST_FILES = 200_000  # in a folder; one with more is not meant
PARTS = re.compile(  # of a run's folder
    r"\d{9,}(?:\.\d+)?|checkpoint-\d+|files|\.hydra|logs|tb|tensorboard|eval|train|val|validation|test"
)
SKIPPED = frozenset({"node_modules", "__pycache__", ".git", "artifacts", "site-packages"})


def read_folder(name: str, options: ReadOptions) -> RawTable:
    """The runs in a folder and the folders within it, one row a run; `run` is each one's path.

    A folder with files of results is a run. Its settings are in the same folder, in one of its own
    (`.hydra`), or in one around it. Where there are no such files, every table in the folder is read.

    Raises:
        SweepError: where there is no run.
    """
    folder = Path(name)
    if options.extract is not None:
        logs = [str(path) for path in _files(folder) if path.suffix in (".log", ".out", ".txt", ".err", "")]
        return read_files(logs, options) if logs else _nothing(name)
    runs: dict[Path, LoggedRun] = {}
    settings: dict[Path, list[Path]] = {}
    unread: list[str] = []
    for path in _files(folder):
        if path.name == "meta.yaml" and any((path.parent / name).is_dir() for name in ("metrics", "params")):
            _take(read_mlflow, path, _run(runs, path.parent, folder), unread)
        elif (read := reader_of(path.name, RESULTS)) is not None and not _is_within_mlflow(path):
            _take(read, path, _run(runs, _home(path.parent, folder), folder), unread)
        elif reader_of(path.name, SETTINGS) is not None:
            settings.setdefault(_home(path.parent, folder), []).append(path)
    runs = {place: run for place, run in runs.items() if run.curves or run.values}
    if not runs or (not settings and any(_is_sweep(run) for run in runs.values())):
        return _tables(name, options)
    for place, run in runs.items():
        for around in (place, *place.parents):
            for path in settings.get(around, ()):
                if (read := reader_of(path.name, SETTINGS)) is not None:
                    _take(read, path, run, unread)
            if around == folder:
                break
    table = table_of_runs(runs.values(), name, options.take)
    taken = _taken(options.take)
    note = f"{name}: {plural(len(table), 'run')}, of each curve the {taken} is read; --take says otherwise"
    notes = (note,) if any(len(curve) > 1 for run in runs.values() for curve in run.curves.values()) else ()
    return replace(table, source=Source(name), notes=(*notes, *_said(unread, name)))


def _is_sweep(run: LoggedRun) -> bool:
    """Whether the rows of a file are runs of several learning rates, and not the steps of one."""
    varied = [curve for metric, curve in run.curves.items() if hp_rank(metric) is not None]
    several = any(len(set(curve)) > 1 for curve in varied)
    return several and not run.values and not has_steps(run.curves) and any(map(loss_rank, run.curves))


def _take(read: Reader, path: Path, run: LoggedRun, unread: list[str]) -> None:
    """Adds what a file says to its run; one that cannot be read, or has gone, hides none of the others."""
    try:
        if path.stat().st_size > size_limit(MAX_BYTES):
            raise ValueError("it is too large")
        read(path, run)
    except HPTransferError:
        raise
    except Exception as error:  # whatever other programs' files make of their readers
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        unread.append(f"{printable(str(path))}: {' '.join(printable(reason).split()):.100}")


def _said(unread: list[str], name: str) -> list[str]:
    """A note on the files that could not be read."""
    files = list(dict.fromkeys(unread))
    return (
        [f"left out: {plural(len(files), 'file')} of {name} that cannot be read, {files[0]}"] if files else []
    )


def _taken(take: str | None) -> str:
    """What is read of a curve, in words."""
    kind, _, last = (take or "final").partition(":")
    if kind == "mean":
        return f"mean of the last {plural(int(last), 'value')}"
    return "lowest value" if kind == "best" else "last value"


def _files(folder: Path) -> list[Path]:
    """Every file in a folder, in order; folders of code and of artifacts are left out."""
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in SKIPPED)
        paths = (Path(place, name) for name in sorted(names))
        found += [path for path in paths if path.is_file()]  # no pipe, and no link that leads nowhere
        if len(found) > MOST_FILES:
            raise SweepError(
                f"{folder} has more than {plural(MOST_FILES, 'file')}; name the folder of the runs"
            )
    return found


def _home(place: Path, folder: Path) -> Path:
    """The folder that names a run: around the parts that loggers make, as `files` or `checkpoint-500`."""
    while place != folder and PARTS.fullmatch(place.name):
        place = place.parent
    return place


def _is_within_mlflow(path: Path) -> bool:
    kept = (place for place in path.parents if place.name in ("metrics", "params", "tags"))
    return any((place.parent / "meta.yaml").exists() for place in kept)


def _run(runs: dict[Path, LoggedRun], place: Path, folder: Path) -> LoggedRun:
    return runs.setdefault(place, LoggedRun(place.relative_to(folder).as_posix()))


def _nothing(name: str) -> RawTable:
    raise SweepError(
        f"{name} holds no runs that are known: of W&B, Hydra, Ray Tune, MLflow, TensorBoard, "
        f"Hugging Face, Lightning, "
        "and no tables; name a file, or find runs in printed logs with --extract"
    )


def _logs(name: str, options: ReadOptions) -> RawTable:
    """Printed logs, each one run, where they say losses."""
    paths = [path for path in _files(Path(name)) if path.suffix.lower() in LOGS]
    unread: list[str] = []
    every = [LoggedRun(path.relative_to(name).with_suffix("").as_posix()) for path in paths]
    for path, run in zip(paths, every, strict=True):
        _take(read_log, path, run, unread)
    runs = [run for run in every if run.curves]
    if not runs:
        return _nothing(name)
    note = (
        f"{name}: {len(runs)} printed logs, of each loss the {_taken(options.take)} is read; "
        "--extract and --take say otherwise"
    )
    notes = (note, *_said(unread, name))
    return replace(table_of_runs(runs, name, options.take), source=Source(name), notes=notes)


def _tables(name: str, options: ReadOptions) -> RawTable:
    """Every table in a folder as one; a table with a row for every step of one run is that run."""
    paths = [path for path in _files(Path(name)) if path.suffix.lower() in KINDS]
    if not paths:
        return _logs(name, options)
    table = read_files([str(path) for path in paths], options)
    places = [path.relative_to(name).with_suffix("").as_posix() for path in paths]
    if len({path.stem for path in paths}) < len(paths) == len(table.names):  # then a folder tells them apart
        table = replace(table, columns={**table.columns, "file": [places[i] for i in table.origin.tolist()]})
    steps = has_steps(table.columns)
    if not steps or len(paths) == 1:
        return replace(table, source=replace(table.source, path=name))
    records = []
    for i, path in enumerate(paths):
        part = table.keep(np.asarray(table.origin == i))
        if not len(part):
            continue
        rows = [{key: cells[j] for key, cells in part.columns.items()} for j in range(len(part))]
        same = {key: cells[0] for key, cells in part.columns.items() if floats(cells)[1].all()}
        run = LoggedRun(path.relative_to(name).with_suffix("").as_posix(), same, curves_of(rows))
        records.append(run.record(options.take))
    whole = make_table(columns_of(records), name, range(1, len(records) + 1))
    return replace(whole, source=Source(name), of_runs=True)
