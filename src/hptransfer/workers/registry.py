"""Make: the engine that a spec asks for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hptransfer.workers.config import ExecutorConfig
from hptransfer.workers.executor import Executor, OnReport
from hptransfer.workers.gpus import gpus
from hptransfer.workers.local import LocalExecutor, cores

MANY = 1000  # stacks at a time where the cluster decides


def make_executor(
    config: ExecutorConfig, workers: int | None, folder: Path
) -> Callable[[OnReport], Executor]:
    """What makes the engine, once it is told where reports go.

    Arguments:
        config: of the engine.
        workers: stacks trained at a time; None: as many as the machine or the cluster takes.
        folder: of the study.

    Raises (when called):
        MissingExtraError: Ray or submitit is not installed.
        ExecutorError: there is no cluster, no Slurm.
    """
    if config.kind == "ray":
        from hptransfer.workers.ray import RayExecutor

        return lambda report: RayExecutor(config, workers, report)
    if config.kind == "slurm":
        from hptransfer.workers.slurm import SlurmExecutor

        return lambda report: SlurmExecutor(config, workers, folder, report)
    at_once, logs = at_a_time(config, workers), folder / "logs"
    return lambda report: LocalExecutor(at_once, logs, report, config.cpus, gpus())


def at_a_time(config: ExecutorConfig, workers: int | None) -> int:
    """Stacks trained at the same time, as far as can be told before the engine is made."""
    if workers is not None:
        return workers
    if config.kind == "slurm" or config.address is not None:
        return MANY
    if config.kind == "local" and (found := gpus()):
        return len(found)  # a stack fills a GPU; several processes on one would only take turns
    return max(1, cores() // config.cpus)
