"""Everything that is read by its name: files, folders of runs, trackers, several of them as one table."""

from __future__ import annotations

from collections.abc import Sequence

from hptransfer.sweep.files import read_files
from hptransfer.sweep.options import ReadOptions
from hptransfer.sweep.raw_table import RawTable


def read_sources(names: Sequence[str], options: ReadOptions) -> RawTable:
    """The runs of all sources, one after the other."""
    return read_files(names, options)
