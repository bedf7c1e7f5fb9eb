"""What an executor is: it trains stacks of runs, behind an interface that mirrors `concurrent.futures`.

An executor is one class with its config, and one line of `hptransfer.workers.registry`.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import Field

from hptransfer.runs.base import Config
from hptransfer.runs.config import RunRecord, RunSpec
from hptransfer.workers.environment import cores

if TYPE_CHECKING:
    from hptransfer.workers.user_code.config import TrialConfig


@dataclass(frozen=True)
class Job:
    """A stack of runs on its way to a worker; plain data, so that any executor can carry it.

    Attributes:
        stack_id: identity, in reports.
        runs: in order.
        train: `module:function` that trains them, with the signature of `hptransfer.lm.train.train_stack`.
        compiled: whether the training step is compiled.
        flops: of all runs; larger jobs start first.
        folder: of the study, where logs and finished stacks are left; None: nowhere.
        trial: how code of the user's own is called; None: `train` is.
    """

    stack_id: str
    runs: tuple[RunSpec, ...]
    train: str
    compiled: bool = False
    flops: float = 0.0
    folder: str | None = None
    trial: TrialConfig | None = None

    @property
    def shape(self) -> tuple[int, int] | None:
        """Width and number of runs, which jobs that share a compiled step have in common; else None."""
        return (self.runs[0].model.width, len(self.runs)) if self.compiled else None


@dataclass(frozen=True)
class StepReport:
    """How far a job is; sent now and then, never one a step.

    Attributes:
        stack_id: of the job.
        step: optimizer steps done by every run.
        losses: training loss of each run at that step, nats per token.
    """

    stack_id: str
    step: int
    losses: tuple[float, ...]


OnReport = Callable[[StepReport], None]


class WorkerDiedError(Exception):
    """A worker ended while it trained; the job may be submitted again."""


class JobFailedError(Exception):
    """Training raised; the job may be submitted again after a while."""


MANY = 1000  # stacks trained at a time where a cluster decides


class ExecutorConfig(Config):
    """Settings of every executor; nothing here changes a run's identity."""

    kind: str = "local"  # of the executor, as the registry names it
    cpus: int = Field(1, ge=1, le=1024)  # cores, and threads, that a stack trains on

    def slots(self) -> int:
        """Stacks trained at a time where the study does not say, as far as is known beforehand."""
        return max(1, cores() // self.cpus)


class Executor(Protocol):
    """What the driver asks of an executor: the part of `concurrent.futures.Executor` that it uses.

    A future gives one record a run, in order, or raises `WorkerDiedError`, `JobFailedError`, or an
    `HPTransferError` that ends the study (no text, no torch).
    """

    def submit(self, job: Job, /) -> Future[list[RunRecord]]:
        """Queue a job."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more jobs, and end the workers when theirs are done."""

    def abort(self) -> None:
        """End the workers at once; unfinished jobs are lost, except where a queue of its own keeps them."""


class ExecutorClass(Protocol):
    """An executor's class: its config, and how it is made."""

    @property
    def Config(self) -> type[ExecutorConfig]:
        """The class of its config; the default of `kind` is its name."""

    def __call__(self, config: Any, workers: int | None, folder: Path, on_report: OnReport) -> Executor:
        """An executor.

        Args:
            config: of this executor's `Config`.
            workers: stacks trained at a time; None: as many as the machine or the cluster takes.
            folder: of the study.
            on_report: called with progress; must not block.

        Raises:
            MissingExtraError: a package that it needs is not installed.
            ExecutorError: the cluster cannot be reached.
        """
