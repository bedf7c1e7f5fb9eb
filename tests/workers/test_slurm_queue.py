"""Resources under Slurm, and the state of its queue, with a squeue that says what it is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from hptransfer.errors import ExecutorError
from hptransfer.workers import slurm_queue
from hptransfer.workers.executor import MANY
from hptransfer.workers.slurm_queue import Queue, Queued, SlurmConfig


@pytest.fixture
def squeue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A script in squeue's place, and one in sbatch's; their folder comes first on the path."""
    for name in ("squeue", "sbatch"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "squeue"


def test_states_by_array_and_task(squeue: Path) -> None:
    squeue.write_text(
        '#!/bin/sh\necho "$@" > "$0.asked"\nprintf "a|0|RUNNING|7\\na|12|PENDING|7\\nb|N/A|FAILED|9\\n"\n'
    )
    assert Queue().states(["b", "a"]) == {
        ("a", 0): Queued("RUNNING", "7_0"),
        ("a", 12): Queued("PENDING", "7_12"),
        ("b", 0): Queued("FAILED", "9"),
    }
    assert "--name=a,b" in squeue.with_suffix(".asked").read_text()


def test_a_silent_slurm_is_told_in_one_line(squeue: Path) -> None:
    squeue.write_text("#!/bin/sh\necho 'slurm_load_jobs error:\n  down' >&2\nexit 1\n")
    with pytest.raises(ExecutorError, match="must answer squeue, but: slurm_load_jobs error: down"):
        Queue().states(["a"])


def test_without_slurm_there_is_no_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ExecutorError, match="squeue is not there: start hptransfer on a login node"):
        Queue()


@pytest.mark.parametrize(
    "name", ["PENDING", "RUNNING", "COMPLETING", "REQUEUED", "SUSPENDED", "NEW_IN_SLURM_99"]
)
def test_states_that_may_still_give_a_result(name: str) -> None:
    assert Queued(name, "1").alive


@pytest.mark.parametrize(
    "name",
    [
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "GONE",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "PREEMPTED",
        "REVOKED",
        "TIMEOUT",
    ],
)
def test_states_that_are_over(name: str) -> None:
    assert not Queued(name, "1").alive


def test_options_are_named_as_submitit_names_them() -> None:
    config = SlurmConfig(
        cpus=2, gpus=1, memory_gb=1.5, minutes=90, partition="long", sbatch=(("constraint", "a100"),)
    )
    found = config.options()
    setup = found.pop("setup")
    assert found == {
        "partition": "long",
        "gpus_per_node": 1,
        "mem": "1536M",
        "time": 90,
        "cpus_per_task": 2,
        "additional_parameters": {"requeue": True, "constraint": "a100"},
    }
    assert "export OMP_NUM_THREADS=2" in setup
    assert set(SlurmConfig().options()) == {"time", "cpus_per_task", "setup", "additional_parameters"}
    assert config.slots() == MANY


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("partition", "a b"),
        ("qos", "x\n#SBATCH"),
        ("account", "'"),
        ("sbatch", (("a", "b c"),)),
        ("minutes", 0),
    ],
)
def test_what_would_break_a_batch_script_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        SlurmConfig.model_validate({field: value})


def test_the_folder_of_job_files_is_private(tmp_path: Path) -> None:
    study = tmp_path / "study"
    (study / "logs" / "slurm").mkdir(parents=True)
    (study / "logs" / "slurm").chmod(0o777)
    slurm_queue._make_private(study / "logs" / "slurm")
    assert (study / "logs" / "slurm").stat().st_mode & 0o777 == 0o700
    study.chmod(0o777)
    with pytest.raises(ExecutorError, match="everybody may write"):
        slurm_queue._make_private(study / "logs" / "slurm")
    study.chmod(0o1777)  # as of /tmp: nobody can put another's folder in the place of mine
    slurm_queue._make_private(study / "logs" / "slurm")
