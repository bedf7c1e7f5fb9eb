"""A study's progress as a file: the driver writes it, other processes read it."""

from __future__ import annotations

import json
import math
import os
import platform
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from hptransfer.files import write_whole
from hptransfer.study.planner import plan
from hptransfer.study.progress import Cell, Progress, RunningStack, Snapshot, State, empty_cells
from hptransfer.study.spec import StudySpec
from hptransfer.study.store import Store
from hptransfer.workers.spool import read_json

PROGRESS_FILE = "progress.json"
EVERY = 1.0  # seconds between two snapshots
MOST = 1e15  # of a count or a time that can be meant
STALE = 15.0  # seconds without a new one after which a driver counts as gone


class ProgressWriter:
    """Writes snapshots of the progress into a study's folder, at most one a second; None writes nothing."""

    def __init__(self, progress: Progress, folder: Path | None) -> None:
        self._progress = progress
        self._path = None if folder is None else folder / PROGRESS_FILE
        self._last = -math.inf
        self._beat = 0

    def tick(self, state: State = "running") -> None:
        """Writes a snapshot if the last is old or the study ends. An error of the disk is ignored."""
        now = time.monotonic()
        if self._path is None or (state == "running" and now - self._last < EVERY):
            return
        self._last, self._beat = now, self._beat + 1
        seen = self._progress.snapshot(state)
        content = {
            "host": platform.node(),
            "pid": os.getpid(),
            "beat": self._beat,
            "state": state,
            "elapsed": seen.elapsed,
            "left": seen.left,
            "cells": [
                [variant, str(size), _cell_as_json(cell)] for (variant, size), cell in seen.cells.items()
            ],
            "running_stacks": [asdict(running) for running in seen.running_stacks],
        }
        with suppress(OSError):
            write_whole(self._path, json.dumps(content).encode())


@dataclass
class Watcher:
    """Reads a study's folder again and again, without a right to write, from any process.

    The driver's file is believed as long as it keeps changing; otherwise the store is read. Time is
    measured by this process's monotonic clock alone, so that clocks that jump or differ mean nothing.
    """

    folder: Path
    spec: StudySpec = field(init=False)
    _beat: tuple[int, int] | None = None  # of the driver: process and number
    _since: float = -math.inf  # when that was first seen

    def __post_init__(self) -> None:
        with Store(self.folder, read_only=True) as store:
            self.spec = store.spec()

    def read(self) -> Snapshot:
        """The study as it is now.

        Raises:
            StoreError: the store cannot be read.
        """
        content = read_json(self.folder / PROGRESS_FILE) or {}
        now = time.monotonic()
        beat = (_integer(content.get("pid")), _integer(content.get("beat")))
        if content and beat != self._beat:
            self._beat, self._since = beat, now
        alive = now - self._since < STALE and not _has_ended(str(content.get("host")), beat[0])
        if content.get("state") == "running" and alive:
            with suppress(KeyError, TypeError, ValueError, AttributeError):  # another version's, or not whole
                return _snapshot_from(self.spec, content)
        return self._stored("ended" if content.get("state") == "ended" else "not running")

    def _stored(self, state: State) -> Snapshot:
        """The progress according to the store: finished and failed runs of those planned so far."""
        with Store(self.folder, read_only=True) as store:
            losses, failures = store.losses(), store.failures()
        progress = Progress(self.spec, workers=1)
        for stack in plan(self.spec, losses):
            for run in stack.runs:
                if run.run_id in losses:
                    progress.keep(run, losses[run.run_id])
                else:
                    progress.expect(run, failed=run.run_id in failures)
        return Snapshot(self.spec, progress.cells, None, None, (), state)


def _snapshot_from(spec: StudySpec, content: Mapping[str, Any]) -> Snapshot:
    """What a driver wrote; whatever else the file may hold is a ValueError."""
    cells = empty_cells(spec)
    sizes = {str(size): size for size in spec.sizes}
    for variant, label, cell in content["cells"]:
        key = variant, sizes.get(label)
        if key not in cells:
            raise ValueError("the file is of another study")
        best = math.inf if cell["best"] is None else cell["best"]
        best_lr = math.nan if cell["best_lr"] is None else cell["best_lr"]
        cells[key] = _checked(Cell).validate_python({**cell, "best": best, "best_lr": best_lr})
    running = _checked(tuple[RunningStack, ...]).validate_python(content["running_stacks"])
    seconds = _checked(float | None)
    elapsed, left = (seconds.validate_python(content[name]) for name in ("elapsed", "left"))
    if not all(value is None or 0 <= value < MOST for value in (elapsed, left)):
        raise ValueError("times must be positive")
    counts = [n for c in cells.values() for n in (c.planned, c.done, c.diverged, c.failed)]
    counts += [n for r in running for n in (r.runs, r.step, r.steps)]
    if not all(0 <= n < MOST for n in counts) or not {r.size for r in running} <= sizes.keys():
        raise ValueError("counts must be positive, and sizes the study's")
    return Snapshot(spec, cells, elapsed, left, running, "running")


@cache
def _checked(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _cell_as_json(cell: Cell) -> dict[str, Any]:
    return {k: v if math.isfinite(v) else None for k, v in asdict(cell).items()}


def _integer(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < 2**31 else 0


def _has_ended(host: str, pid: int) -> bool:
    """Whether a process of this machine has ended; a driver elsewhere is judged by its silence alone."""
    if host != platform.node():
        return False
    try:
        os.kill(pid, 0)
    except OSError as error:
        return isinstance(error, ProcessLookupError)
    return False
