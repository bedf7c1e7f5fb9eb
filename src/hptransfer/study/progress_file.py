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
from pathlib import Path
from typing import Any, Literal

from hptransfer.study.planner import plan
from hptransfer.study.progress import Cell, Progress, RunningStack
from hptransfer.study.spec import StudySpec, parse_study
from hptransfer.study.store import Store
from hptransfer.workers.spool import read_json

PROGRESS_FILE = "progress.json"
EVERY = 1.0  # seconds between two snapshots
STALE = 15.0  # seconds without a new one after which a driver counts as gone
State = Literal["running", "ended", "not running"]


@dataclass(frozen=True)
class Snapshot:
    """A study's progress at one moment; what a view needs of a `Progress`.

    Attributes:
        spec: of the study.
        cells: by variant and width.
        elapsed: seconds since the driver's start; None where none runs.
        left: seconds to the end of what is planned, as the driver has learned; None where unknown.
        running_stacks: stacks that are being trained.
        state: of the driver.
    """

    spec: StudySpec
    cells: Mapping[tuple[str, int], Cell]
    elapsed: float | None
    left: float | None
    running_stacks: tuple[RunningStack, ...] = ()
    state: State = "not running"

    def total(self, name: str) -> int:
        """A count (`planned`, `done`, `diverged`, `failed`) over the whole study."""
        return sum(int(getattr(cell, name)) for cell in self.cells.values())

    def eta(self) -> float | None:
        """Seconds to the end of what is planned."""
        return self.left


class ProgressWriter:
    """Writes snapshots of the progress into a study's folder, at most one a second.

    Args:
        progress: of the study.
        folder: of the study; None writes nothing.
    """

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
        draft = self._path.with_suffix(".json.part")
        with suppress(OSError):
            draft.write_text(json.dumps(self._content(state)), encoding="utf-8")
            os.replace(draft, self._path)

    def _content(self, state: State) -> dict[str, Any]:
        progress = self._progress
        return {
            "host": platform.node(),
            "pid": os.getpid(),
            "beat": self._beat,
            "state": state,
            "elapsed": progress.elapsed,
            "left": progress.eta(),
            "cells": [[*key, _cell_as_json(cell)] for key, cell in progress.cells.items()],
            "running_stacks": [asdict(running) for running in progress.running_stacks()],
        }


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
            self.spec = parse_study(store.spec(), where=f"the spec in {store.path}")

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
            with suppress(KeyError, TypeError, ValueError):  # another version's, or not whole
                return _snapshot_from(self.spec, content)
        state: State = "ended" if content.get("state") == "ended" else "not running"
        return stored_progress(self.folder, self.spec, state)


def stored_progress(folder: Path, spec: StudySpec, state: State) -> Snapshot:
    """The progress according to the store: finished and failed runs of those planned so far.

    Args:
        folder: of the study.
        spec: of the study.
        state: of its driver.
    """
    with Store(folder, read_only=True) as store:
        losses, failures = store.losses(), store.failures()
    progress = Progress(spec, workers=1)
    for stack in plan(spec, losses):
        for run in stack.runs:
            if run.run_id in losses:
                progress.keep(run, losses[run.run_id])
            else:
                progress.expect(run, failed=run.run_id in failures)
    return Snapshot(spec, progress.cells, None, None, (), state)


def _snapshot_from(spec: StudySpec, content: Mapping[str, Any]) -> Snapshot:
    cells = {(v, w): Cell() for v in spec.variants_with_decay() for w in spec.widths}
    for variant, width, cell in content["cells"]:
        best = math.inf if cell["best"] is None else cell["best"]
        best_lr = math.nan if cell["best_lr"] is None else cell["best_lr"]
        cells[variant, width] = Cell(**{**cell, "best": best, "best_lr": best_lr})
    running_stacks = tuple(RunningStack(**running) for running in content["running_stacks"])
    return Snapshot(spec, cells, content["elapsed"], content["left"], running_stacks, "running")


def _cell_as_json(cell: Cell) -> dict[str, Any]:
    return {k: v if math.isfinite(v) else None for k, v in asdict(cell).items()}


def _integer(value: object) -> int:
    return value if isinstance(value, int) else 0


def _has_ended(host: str, pid: int) -> bool:
    """Whether a process of this machine has ended; a driver elsewhere is judged by its silence alone."""
    if host != platform.node():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
