"""The process of a local worker, spoken to over its pipes."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import fake_trainer
from small_study import study

from hptransfer.workers.executor import Job
from hptransfer.workers.run_job import pack, unwrap_outcome

RUNS = tuple(study().run("sp", 32, index, 0) for index in range(2))


def answers(*jobs: bytes) -> tuple[list[Any], int, str]:
    """What a worker answers to each of some messages before its stdin ends; its exit code and log."""
    process = subprocess.Popen(
        [sys.executable, "-m", "hptransfer.workers.local_worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(Path(fake_trainer.__file__).parent), *sys.path]),
        },
    )
    assert process.stdin is not None
    assert process.stdout is not None
    found = []
    for job in jobs:
        process.stdin.write(job)
        process.stdin.flush()
        while (answer := pickle.load(process.stdout))[0] == "report":
            assert answer[1].stack_id == "stack"
        found.append(answer)
    _, log = process.communicate(timeout=60)
    return found, process.returncode, log.decode()


def test_jobs_are_trained_one_after_the_other_until_stdin_ends() -> None:
    message = pickle.dumps(pack(Job("stack", RUNS, fake_trainer.NAME)))
    found, code, _ = answers(message, message)
    assert code == 0
    for answer in found:
        assert [record.run_id for record in unwrap_outcome(answer)] == [run.run_id for run in RUNS]


def test_what_training_prints_goes_to_the_log() -> None:
    (answer,), code, log = answers(pickle.dumps(pack(Job("stack", (), "builtins:print"))))
    assert (answer[0], code) == ("failed", 0)  # print takes no such keywords
    assert "TypeError" in answer[1]
    assert "Traceback" in log


def test_a_message_that_is_none_ends_it_with_a_traceback() -> None:
    process = subprocess.run(
        [sys.executable, "-m", "hptransfer.workers.local_worker"],
        input=b"no pickle",
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert process.returncode == 1
    assert b"UnpicklingError" in process.stderr
