"""A job on its way to a worker, and what comes back."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import fake_trainer
import pytest
from small_study import study

from hptransfer.errors import HPTransferError
from hptransfer.version import __version__
from hptransfer.workers.executor import Job, JobFailedError, StepReport
from hptransfer.workers.run_job import pack, run_packed_job, unpack, unwrap_outcome

RUNS = tuple(study().run("sp", 32, index, 0) for index in range(2))


def test_a_packed_job_is_trained_and_gives_its_records(tmp_path: Path) -> None:
    reports: list[StepReport] = []
    job = Job("stack", RUNS, fake_trainer.NAME, folder=str(tmp_path))
    assert unpack(pack(job)) == job
    records = unwrap_outcome(run_packed_job(pack(job), reports.append))
    assert [record.run_id for record in records] == [run.run_id for run in RUNS]
    assert {report.stack_id for report in reports} == {"stack"}


def test_a_job_of_another_version_is_refused_before_it_is_read() -> None:
    data = json.dumps({"version": "0.0.0", "job": "no job"}).encode()
    outcome = run_packed_job(data, lambda _: None)
    assert outcome[0] == "refused"
    with pytest.raises(HPTransferError, match=rf"0\.0\.0, but the one on .* runs {__version__}"):
        unwrap_outcome(outcome)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", pickle.dumps(("0.0.0", b"")), b"[" * 10**5])
def test_what_is_no_job_is_refused_and_runs_nothing(data: bytes) -> None:
    kind, content = run_packed_job(data, lambda _: None)
    assert (kind, content) == ("refused", "a job must be as the driver wrote it, but cannot be read")


def test_a_fault_of_training_is_one_line(faults: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake_trainer.arm(faults, "raise", 1, 32)
    job = Job("stack", RUNS, fake_trainer.NAME)
    with pytest.raises(JobFailedError, match=r"^RuntimeError: a fault on purpose$"):
        unwrap_outcome(run_packed_job(pack(job), lambda _: None))
    assert "Traceback" in capsys.readouterr().err


def test_an_error_for_the_user_ends_the_study(faults: Path) -> None:
    fake_trainer.arm(faults, "refuse", 1, 32)
    job = Job("stack", RUNS, fake_trainer.NAME)
    with pytest.raises(HPTransferError, match="there must be text"):
        unwrap_outcome(run_packed_job(pack(job), lambda _: None))
