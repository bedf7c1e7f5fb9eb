"""A job on its way to a worker of any executor, its training there, and what comes back."""

from __future__ import annotations

import dataclasses
import json
import pkgutil
import platform
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Literal

from hptransfer.errors import HPTransferError
from hptransfer.runs.config import RunRecord
from hptransfer.runs.decode import run_from
from hptransfer.version import __version__
from hptransfer.workers.executor import Job, JobFailedError, OnReport, StepReport
from hptransfer.workers.spool import checkpoint_of, write_result

TRAIN = "hptransfer.lm.train:train_stack"
REPORT_EVERY = 0.5  # seconds between two reports of a job
Kind = Literal["records", "failed", "refused"]
Outcome = tuple[Kind, Any]  # records, or one line; plain, so that workers of another version are understood


def pack(job: Job) -> bytes:
    """A job on its way as JSON, which holds no code, with the version that packed it."""
    plain = {field.name: getattr(job, field.name) for field in dataclasses.fields(job)}
    plain["runs"] = [run.model_dump(mode="json") for run in job.runs]
    plain["trial"] = None if job.trial is None else job.trial.model_dump(mode="json")
    return json.dumps({"version": __version__, "job": plain}).encode()


def unpack(data: bytes) -> Job:
    """The job.

    Raises:
        HPTransferError: another version of hptransfer packed it, so that the two might train differently;
            or it is not whole.
    """
    from hptransfer.workers.user_code.config import TrialConfig

    try:
        found = json.loads(data)
        version, plain = found["version"], found["job"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise HPTransferError("a job must be as the driver wrote it, but cannot be read") from None
    if version != __version__:
        raise HPTransferError(
            f"every worker must run the driver's hptransfer {version}, but the one on "
            f"{platform.node() or 'another machine'} runs {__version__}: install the same there"
        )
    trial = plain["trial"] and TrialConfig.model_validate(plain["trial"])
    return Job(**{**plain, "runs": tuple(run_from(run) for run in plain["runs"]), "trial": trial})


def run_packed_job(data: bytes, on_report: OnReport) -> Outcome:
    """Trains a packed job in this process; faults are returned, not raised."""
    try:
        job = unpack(data)
        records = run_job(job, on_report)
        write_result(job, records)
    except HPTransferError as error:
        return "refused", str(error)
    except Exception as error:
        traceback.print_exc()
        return "failed", " ".join(f"{type(error).__name__}: {error}".split())
    return "records", records


def unwrap_outcome(outcome: Outcome) -> list[RunRecord]:
    """A job's records.

    Raises:
        HPTransferError: the study must end; JobFailedError: training raised.
    """
    kind, content = outcome
    if kind == "refused":
        raise HPTransferError(content)
    if kind == "failed":
        raise JobFailedError(content)
    return list(content)


def settle(future: Future[list[RunRecord]], outcome: Callable[[], list[RunRecord]]) -> None:
    """Give a future what a call gives; whatever it raises belongs to whoever waits for the job."""
    try:
        records = outcome()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(records)


def run_job(job: Job, on_report: OnReport) -> list[RunRecord]:
    """Train a job's runs: one record a run, in order; progress at most every `REPORT_EVERY` seconds."""
    if job.trial is not None and job.trial.kind != "builtin":
        return _own(job)
    train = pkgutil.resolve_name(job.train)
    resumes = job.train == TRAIN and job.folder is not None
    more = {"checkpoint": checkpoint_of(str(job.folder), job.stack_id)} if resumes else {}
    tell = _throttled(job.stack_id, on_report)
    records = list(train(job.runs, compiled=job.compiled, on_step=tell, **more))
    if [record.run_id for record in records] != [run.run_id for run in job.runs]:
        raise ValueError(f"{job.train} must return one record a run, in order, but gave {len(records)}")
    return records


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
