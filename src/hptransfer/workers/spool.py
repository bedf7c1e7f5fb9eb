"""Finished stacks as files beside the store, so that a driver that dies loses none of them.

A worker writes a stack's records here before it reports to the driver; the driver stores them and removes
the file. Files that a dead driver has not stored are found by the next one at its start. A file is written
whole or not at all.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hptransfer import files
from hptransfer.files import read_regular
from hptransfer.runs.config import RunRecord, RunSpec
from hptransfer.runs.decode import record_from, run_from
from hptransfer.workers.executor import Job

MAX_BYTES = 1 << 30  # of a file in the spool, with the curves and probes of a whole stack
FOLDER = "spool"  # in the study's
DONE = ".done"
CHECKPOINTS = "checkpoints"  # in the spool
_KINDS = (DONE, ".damaged", ".job", ".owner", ".progress", ".fault")


def write_result(job: Job, records: Sequence[RunRecord]) -> None:
    """Writes a stack's records for the driver, who also gets them directly; a full disk loses nothing."""
    if job.folder is None:
        return
    content = {
        "stack_id": job.stack_id,
        "runs": [run.model_dump(mode="json") for run in job.runs],
        "records": [dataclasses.asdict(record) for record in records],
    }
    with suppress(OSError):
        write_whole(spool_of(job.folder) / f"{job.stack_id}{DONE}", json.dumps(content).encode())


def spool_of(folder: str | Path) -> Path:
    """The spool of a study's folder."""
    return Path(folder) / FOLDER


def read_result(path: Path) -> list[tuple[RunSpec, RunRecord]] | None:
    """The records that a worker wrote; None where there are none, or the file is damaged."""
    try:
        content = json.loads(read_regular(path, MAX_BYTES))
        runs = [run_from(data) for data in content["runs"]]
        records = [record_from(data) for data in content["records"]]
        return list(zip(runs, records, strict=True))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def pending_results(folder: Path) -> Iterator[tuple[Path, list[tuple[RunSpec, RunRecord]]]]:
    """Finished runs left in a spool; a damaged file is set aside, and its stack is trained again."""
    for path in sorted(folder.glob(f"*{DONE}")):
        found = read_result(path)
        if found is not None:
            yield path, [(run, record) for run, record in found if record.status != "failed"]
        else:
            set_aside(path)


def set_aside(path: Path) -> None:
    """Put a result that cannot be used where it is not found again; its runs are trained again."""
    with suppress(OSError):
        path.rename(path.with_suffix(".damaged"))


def checkpoint_of(folder: str | Path, stack_id: str) -> Path:
    """Where a stack that takes long writes what it needs to resume after its worker died."""
    return spool_of(folder) / CHECKPOINTS / stack_id


def discard_result(folder: Path, stack_id: str) -> None:
    """Removes a stack's result, since it is trained again; it may resume from its checkpoint."""
    with suppress(OSError):
        (folder / f"{stack_id}{DONE}").unlink(missing_ok=True)


def clear(folder: Path, stack_id: str) -> None:
    """Removes all files of a stack, which is in the store."""
    named = [folder / f"{stack_id}{kind}" for kind in _KINDS]
    for path in (*named, *(folder / CHECKPOINTS).glob(f"{stack_id}*")):  # the glob finds nearly always none
        with suppress(OSError):
            path.unlink()


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None where the file is missing or holds anything else."""
    try:
        found = json.loads(read_regular(path, MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def write_whole(path: Path, content: bytes) -> None:
    """Write a file of the spool, whole or not at all; the spool is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_whole(path, content)
