"""The task of a Slurm array: trains the stack that the spool has for it."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hptransfer.workers.executor import StepReport
from hptransfer.workers.run_job import run_packed_job
from hptransfer.workers.spool import DONE, write_whole

_REPORT_S = 2.0  # seconds between two reports, which cost a file each


@dataclass
class Task:
    """One stack's training; submitit carries it to the node and calls it there.

    Attributes:
        spool: of the study.
        stack: id.
        array: that this task belongs to.
    """

    spool: str
    stack: str
    array: str

    def __call__(self) -> str:
        """Trains, and writes the records into the spool; returns one word on the outcome, for the log."""
        at = Path(self.spool) / self.stack
        if at.with_suffix(DONE).exists():
            return "finished"  # by this task, before it was queued again
        try:
            owner, data = at.with_suffix(".owner").read_text(), at.with_suffix(".job").read_bytes()
        except OSError:
            return "withdrawn"
        if owner != self.array:
            return "withdrawn"  # given to another array since
        kind, content = run_packed_job(data, _Reporter(at.with_suffix(".progress")))
        if kind != "records":
            fault = {"array": self.array, "kind": kind, "content": content}
            write_whole(at.with_suffix(".fault"), json.dumps(fault).encode())
        return kind

    def checkpoint(self) -> Any:
        """What is queued again where the job is preempted or out of time: the same task."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


class _Reporter:
    """Leaves a stack's latest report in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last = -_REPORT_S

    def __call__(self, report: StepReport) -> None:
        now = time.monotonic()
        if now - self._last >= _REPORT_S:
            self._last = now
            with suppress(OSError):  # a full disk costs the view, not the training
                content = {"step": report.step, "losses": report.losses}
                write_whole(self._path, json.dumps(content).encode())
