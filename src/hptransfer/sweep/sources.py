"""Everything that is read by its name: files, folders of runs, trackers, several of them as one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hptransfer.sweep.files import read_files
from hptransfer.sweep.options import ReadOptions
from hptransfer.sweep.raw_table import RawTable, concat
from hptransfer.sweep.run_folders import read_folder
from hptransfer.sweep.table import Source
from hptransfer.sweep.trackers import is_tracker, read_tracker

JOURNAL = b'{"op_code":'  # how a line of Optuna's journal begins
SCHEMA = 100_000  # first bytes of a database, in which the names of its tables stand


def read_sources(names: Sequence[str], options: ReadOptions) -> RawTable:
    """The runs of all sources, one after the other.

    Raises:
        SweepError: where one cannot be read.
    """
    if not any(_is_address(name) or _is_folder(name) or _is_optuna(name) for name in names):
        return read_files(names, options)
    return replace(concat([_read(name, options) for name in names]), source=Source(", ".join(names)))


def _read(name: str, options: ReadOptions) -> RawTable:
    if _is_address(name):
        return read_tracker(name, options)
    if _is_folder(name):
        return read_folder(name, options)
    if _is_optuna(name):
        return read_tracker(f"optuna:{name}", options)
    return read_files([name], options)


def _is_address(name: str) -> bool:
    return is_tracker(name) and not _exists(name)


def _exists(name: str) -> bool:
    try:
        return Path(name).exists()
    except (OSError, ValueError):
        return False


def _is_folder(name: str) -> bool:
    return _exists(name) and Path(name).is_dir()


def _is_optuna(name: str) -> bool:
    """Whether a file is an Optuna storage: its database, or its journal."""
    if name == "-" or not _exists(name) or not Path(name).is_file():
        return False
    try:
        with open(name, "rb") as file:
            start = file.read(SCHEMA)
    except OSError:
        return False
    database = start.startswith(b"SQLite format 3") and b"CREATE TABLE study_directions" in start
    return database or start.startswith(JOURNAL)
