"""Resources of a stack under Slurm, the state of Slurm's queue, and the submission of job arrays."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from hptransfer.errors import ExecutorError, MissingExtraError
from hptransfer.runs.base import Pairs
from hptransfer.workers.environment import environment
from hptransfer.workers.executor import MANY, ExecutorConfig

# What may stand in a line of an sbatch script: no blanks, no quotes, nothing that ends the line.
_SCRIPT_WORD = re.compile(r"[A-Za-z0-9@%+=:,./_\[\]()&|*!-]+")
_ASK_S = 60.0  # seconds that Slurm may take to answer
_OVER = re.compile(
    "BOOT_FAIL|CANCELLED|COMPLETED|DEADLINE|FAILED|GONE|NODE_FAIL|OUT_OF_MEMORY|PREEMPTED|REVOKED|TIMEOUT"
)


class SlurmConfig(ExecutorConfig):
    """Tasks of Slurm job arrays."""

    kind: Literal["slurm"] = "slurm"
    gpus: int | None = Field(None, ge=0, le=64)  # that a stack trains on
    memory_gb: float | None = Field(None, gt=0)  # that a stack may use; Slurm's default where None
    minutes: int = Field(60, ge=1)  # time limit of a stack
    partition: str | None = None  # Slurm's default where None
    account: str | None = None  # likewise
    qos: str | None = None  # likewise
    requeues: int = Field(3, ge=0)  # times that a task is queued again at its time limit
    poll: float = Field(10.0, gt=0, le=3600)  # seconds between two looks at the queue
    sbatch: Pairs = ()  # further options, `constraint: a100`

    @model_validator(mode="after")
    def _check_words(self) -> SlurmConfig:
        named = [(name, getattr(self, name)) for name in ("partition", "account", "qos")]
        named += [(f"sbatch.{key}", part) for key, value in self.sbatch for part in (key, value)]
        for name, value in named:
            if value is not None and not _SCRIPT_WORD.fullmatch(value):
                raise ValueError(
                    f"`{name}` goes into a batch script, so it must be without blanks and quotes, "
                    f"but got {value!r}"
                )
        return self

    def slots(self) -> int:
        """As many as Slurm lets."""
        return MANY

    def options(self) -> dict[str, Any]:
        """The options of a task, as submitit names them."""
        named = {
            "partition": self.partition,
            "account": self.account,
            "qos": self.qos,
            "gpus_per_node": self.gpus or None,
            "mem": f"{int(self.memory_gb * 1024)}M" if self.memory_gb else None,
        }
        return {
            **{name: value for name, value in named.items() if value is not None},
            "time": self.minutes,
            "cpus_per_task": self.cpus,
            "setup": [f"export {k}={shlex.quote(v)}" for k, v in environment(self.cpus).items()],
            "additional_parameters": {"requeue": True, **dict(self.sbatch)},
        }


@dataclass(frozen=True)
class Queued:
    """A task as Slurm sees it."""

    name: str  # of its state: PENDING, RUNNING, CANCELLED ...; GONE where Slurm knows it no longer
    job: str  # Slurm's id, `123_4`

    @property
    def alive(self) -> bool:
        """Whether it is queued or running, or may be again."""
        return _OVER.fullmatch(self.name) is None


class Queue:
    """Asks squeue, which needs no accounting database.

    Raises:
        ExecutorError: Slurm's commands are not here; so does `states` where Slurm does not answer.
    """

    def __init__(self) -> None:
        for command in ("squeue", "sbatch"):
            if shutil.which(command) is None:
                raise ExecutorError(
                    f"executor slurm needs Slurm's commands on the path, but {command} is not there: start "
                    "hptransfer on a login node"
                )

    def states(self, arrays: Iterable[str]) -> dict[tuple[str, int], Queued]:
        """State of every task of the arrays of these names, by array and index, as far as Slurm knows."""
        names = ",".join(sorted(arrays))
        columns = "--format=%j|%K|%T|%F"
        command = ["squeue", "--noheader", "--array", "--states=all", f"--name={names}", columns]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_ASK_S, check=True)
        except (OSError, subprocess.SubprocessError) as error:
            cause = getattr(error, "stderr", None) or str(error)
            raise ExecutorError(f"Slurm must answer squeue, but: {' '.join(cause.split()):.300}") from None
        found = {}
        for line in done.stdout.splitlines():
            name, index, state, job = line.strip().split("|")
            task = int(index) if index.isdigit() else 0  # an array of one is no array
            found[name, task] = Queued(state, f"{job}_{task}" if index.isdigit() else job)
        return found


def submitter(
    config: SlurmConfig, workers: int | None, logs: Path
) -> Callable[[str, Sequence[Callable[[], Any]]], None]:
    """What submits tasks as one array of a given name.

    Args:
        config: what each task gets of the cluster.
        workers: tasks that run at a time; None: as many as Slurm lets.
        logs: folder for submitit's files and the tasks' logs.

    Raises:
        MissingExtraError: submitit is not installed. ExecutorError: others may write to the job files; when
            called: sbatch refused.
    """
    try:
        import submitit
    except ImportError:
        raise MissingExtraError("slurm", "executor slurm") from None

    jobs = logs / "slurm"  # submitit's pickles of tasks: whoever can write here runs code as the user
    _make_private(jobs)

    def submit(name: str, tasks: Sequence[Callable[[], Any]]) -> None:
        executor = submitit.SlurmExecutor(folder=jobs, max_num_timeout=config.requeues)
        parallel = workers or len(tasks)
        executor.update_parameters(job_name=name, array_parallelism=parallel, **config.options())
        try:
            with executor.batch():
                for task in tasks:
                    executor.submit(task)
        except Exception as error:  # submitit passes on whatever sbatch said, in several classes
            cause = " ".join(str(error).split())
            raise ExecutorError(f"Slurm must accept a job array, but sbatch said: {cause[-300:]}") from None

    return submit


def _make_private(folder: Path) -> None:
    """Make a folder that only its owner can write to, in folders that not everybody can write to.

    Raises:
        ExecutorError: somebody else owns it, or everybody may write to a folder above it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        if folder.stat().st_uid != os.getuid():
            raise ExecutorError(f"the folder of Slurm's job files must be yours, but {folder} is not")
    except OSError as error:
        raise ExecutorError(
            f"the folder of Slurm's job files must be private, but {folder}: {error.strerror}"
        ) from None
    for above in folder.parents[:2]:  # the logs and the study
        if above.stat().st_mode & 0o1002 == 0o0002:
            raise ExecutorError(
                "a study's folder under Slurm holds job files that are run as you, but everybody may write "
                f"to {above}: chmod o-w it"
            )
