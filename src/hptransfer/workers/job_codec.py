"""How a job travels to a worker of any executor, and what comes back."""

from __future__ import annotations

import pickle
import traceback
from typing import Any, Literal

from hptransfer.errors import HPTransferError
from hptransfer.runs.config import RunRecord
from hptransfer.version import __version__
from hptransfer.workers.executor import Job, JobFailedError, OnReport

Kind = Literal["records", "failed", "refused"]
Outcome = tuple[Kind, Any]  # records, or one line; plain, so that workers of another version are understood


def pack(job: Job) -> bytes:
    """A job on its way, with the version that packed it outside, where any version can read it."""
    return pickle.dumps((__version__, pickle.dumps(job)))


def unpack(data: bytes) -> Job:
    """The job.

    Raises:
        HPTransferError: another version of hptransfer packed it: the two might train differently.
    """
    version, content = pickle.loads(data)
    if version != __version__:
        import platform

        raise HPTransferError(
            f"every worker must run the driver's hptransfer {version}, but the one on "
            f"{platform.node() or 'another machine'} runs {__version__}: install the same there"
        )
    job: Job = pickle.loads(content)
    return job


def run_packed_job(data: bytes, on_report: OnReport) -> Outcome:
    """Trains a packed job in this process; faults are returned, not raised."""
    from hptransfer.workers.run_job import run_job
    from hptransfer.workers.spool import write_result

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
