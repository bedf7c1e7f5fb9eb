"""Slurm's queue: what is in it, and how an array gets into it."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hptransfer.errors import ExecutorError, MissingExtraError
from hptransfer.workers.config import ExecutorConfig
from hptransfer.workers.local import environment

MINUTES = 60  # time limit of a stack where the config gives none
REQUEUES = 3  # times that a task is queued again at its time limit where the config gives none
_ASK_S = 60.0  # seconds that Slurm may take to answer
_OVER = {
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
}


@dataclass(frozen=True)
class Queued:
    """A task as Slurm sees it."""

    name: str  # of its state: PENDING, RUNNING, CANCELLED ...; GONE where Slurm knows it no longer
    job: str  # Slurm's id, `123_4`

    @property
    def alive(self) -> bool:
        """Whether it is queued or running, or may be again."""
        return self.name not in _OVER


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
    config: ExecutorConfig, workers: int | None, logs: Path
) -> Callable[[str, Sequence[Callable[[], Any]]], None]:
    """What submits tasks as one array of a given name.

    Arguments:
        config: of the engine.
        workers: tasks that run at a time; None: as many as Slurm lets.
        logs: folder for submitit's files and the tasks' logs.

    Raises:
        MissingExtraError: submitit is not installed. ExecutorError (when called): sbatch refused.
    """
    try:
        import submitit
    except ImportError:
        raise MissingExtraError("slurm", "executor slurm") from None

    def submit(name: str, tasks: Sequence[Callable[[], Any]]) -> None:
        requeues = REQUEUES if config.requeues is None else config.requeues
        executor = submitit.SlurmExecutor(folder=logs / "slurm", max_num_timeout=requeues)
        executor.update_parameters(job_name=name, array_parallelism=workers or len(tasks), **_options(config))
        try:
            with executor.batch():
                for task in tasks:
                    executor.submit(task)
        except Exception as error:  # submitit passes on whatever sbatch said, in several classes
            cause = " ".join(str(error).split())
            raise ExecutorError(f"Slurm must accept a job array, but sbatch said: {cause[-300:]}") from None

    return submit


def _options(config: ExecutorConfig) -> dict[str, Any]:
    """As submitit names them."""
    named = {
        "partition": config.partition,
        "account": config.account,
        "qos": config.qos,
        "gpus_per_node": int(config.gpus) if config.gpus else None,
        "mem": f"{int(config.memory_gb * 1024)}M" if config.memory_gb else None,
    }
    return {
        **{name: value for name, value in named.items() if value is not None},
        "time": config.minutes or MINUTES,
        "cpus_per_task": config.cpus,
        "setup": [f"export {k}={shlex.quote(v)}" for k, v in environment(config.cpus).items()],
        "additional_parameters": {"requeue": True, **dict(config.sbatch)},
    }
