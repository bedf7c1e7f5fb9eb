"""One call of the training code for one job, in a worker's process."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hptransfer.runs.config import RunRecord
from hptransfer.workers.executor import Job, OnReport, StepReport
from hptransfer.workers.spool import checkpoint_of

TRAIN = "hptransfer.lm.train:train_stack"
REPORT_EVERY = 0.5  # seconds between two reports of a job


def run_job(job: Job, on_report: OnReport) -> list[RunRecord]:
    """Train a job's runs.

    Args:
        job: the runs, and what trains them.
        on_report: called with progress, at most every `REPORT_EVERY` seconds.

    Returns:
        One record a run, in order.
    """
    if job.trial is not None and job.trial.kind != "builtin":
        return _own(job)
    train = resolve(job.train)
    resumes = job.train == TRAIN and job.folder is not None
    more = {"checkpoint": checkpoint_of(str(job.folder), job.stack_id)} if resumes else {}
    tell = _throttled(job.stack_id, on_report)
    records = list(train(job.runs, compiled=job.compiled, on_step=tell, **more))
    if [record.run_id for record in records] != [run.run_id for run in job.runs]:
        raise ValueError(f"{job.train} must return one record a run, in order, but gave {len(records)}")
    return records


def resolve(name: str) -> Callable[..., Any]:
    """The function named `module:function`."""
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


def _own(job: Job) -> list[RunRecord]:
    """The runs one after the other; one that fails leaves the others alone."""
    from hptransfer.workers.user_code.command import run_user_code

    assert job.trial is not None
    folder = Path(job.folder or ".") / "trials"
    return [run_user_code(run, job.trial, folder / run.run_id) for run in job.runs]


def _throttled(stack_id: str, on_report: OnReport) -> Callable[[int, Sequence[float]], None]:
    last = -REPORT_EVERY

    def on_step(number: int, losses: Sequence[float]) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= REPORT_EVERY:
            last = now
            on_report(StepReport(stack_id, number + 1, tuple(float(loss) for loss in losses)))

    return on_step
