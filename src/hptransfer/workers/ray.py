"""Ray executor: jobs as Ray tasks, on a running cluster or on one started here."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Literal

from pydantic import Field

from hptransfer.errors import ExecutorError, MissingExtraError
from hptransfer.runs.config import RunRecord
from hptransfer.words import precise, rough
from hptransfer.workers.environment import environment
from hptransfer.workers.executor import (
    MANY,
    ExecutorConfig,
    Job,
    JobFailedError,
    OnReport,
    StepReport,
    WorkerDiedError,
)
from hptransfer.workers.run_job import Outcome, pack, run_packed_job, settle, unwrap_outcome

_POLL = 1.0  # seconds between two looks at progress
_START_S = "120"  # seconds that a cluster started here may take on a busy machine


class RayConfig(ExecutorConfig):
    """Tasks of a Ray cluster."""

    kind: Literal["ray"] = "ray"
    gpus: float | None = Field(None, ge=0, le=64)  # that a stack trains on; below 1: stacks share one
    memory_gb: float | None = Field(None, gt=0)  # that a stack may use; Ray's default where None
    address: str | None = None  # of a running cluster, or `auto`; None starts one on this machine

    def slots(self) -> int:
        """On a cluster of this machine, as many as it has room for."""
        return super().slots() if self.address is None else MANY


class RayExecutor:
    """Trains jobs as Ray tasks, each with the cores, GPUs and memory that the config gives a stack.

    A task is never repeated by Ray itself: the driver counts tries, and knows what is finished. Tasks end
    with the driver. Progress goes through a small actor; where that dies, training continues unseen.

    Args:
        config: where `address` is None, a cluster is started here for as long as this executor lives.
        workers: jobs trained at a time; None: as many as the cluster has room for.
        folder: of the study; nothing is written there.
        on_report: called with progress, from another thread; must not block.

    Raises:
        MissingExtraError: Ray is not installed.
        ExecutorError: the cluster cannot be reached or started, or no node of it could ever take a job.
    """

    Config = RayConfig

    def __init__(
        self,
        config: RayConfig,
        workers: int | None,
        folder: Path,  # noqa: ARG002
        on_report: OnReport,
    ) -> None:
        try:
            import ray
        except ImportError:
            raise MissingExtraError("ray", "executor ray") from None
        self._ray = ray
        self._config = config
        self._on_report = on_report
        self._ours = not ray.is_initialized()
        if self._ours:
            _connect(ray, config, workers)
        self._refs: dict[Any, Future[list[RunRecord]]] = {}
        self._waiting: list[tuple[Job, Future[list[RunRecord]]]] = []
        self._most = workers
        self._lock = threading.Condition()
        self._closed = False
        try:
            _check_room(ray, config)
            self._mail = ray.remote(num_cpus=0, max_restarts=-1)(_Mailbox).remote()
        except BaseException:
            self._leave()
            raise
        self._task = ray.remote(_train).options(
            num_cpus=config.cpus,
            num_gpus=config.gpus or 0,
            memory=int(config.memory_gb * 2**30) if config.memory_gb else None,
            max_retries=0,
            runtime_env={"env_vars": _variables(config)},
        )
        self._done: SimpleQueue[tuple[Any, Future[Outcome]]] = SimpleQueue()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def submit(self, job: Job, /) -> Future[list[RunRecord]]:
        """Queue a job; see `hptransfer.workers.executor.Executor` for what its future gives."""
        future: Future[list[RunRecord]] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("cannot submit a job after shutdown")
            self._waiting.append((job, future))
            self._waiting.sort(key=lambda item: -item[0].flops)
            self._start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more jobs; leave the cluster, or end it where it was started here, when all are done."""
        with self._lock:
            self._closed = True
            if cancel_futures:
                for _, future in self._waiting:
                    future.cancel()
                self._waiting.clear()
            while wait and (self._refs or self._waiting):
                self._lock.wait()
        if wait:
            self._over.set()
            self._thread.join()
            with suppress(Exception):
                self._ray.kill(self._mail)
            self._leave()

    def abort(self) -> None:
        """End the tasks at once; their jobs raise `WorkerDiedError`, waiting ones are cancelled."""
        self.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            running = dict(self._refs)
        for ref in running:
            with suppress(Exception):
                self._ray.cancel(ref, force=True, recursive=True)
        self.shutdown()

    def _start(self) -> None:
        """Hand to Ray what may run; the rest waits here, largest first."""
        with self._lock:
            while self._waiting and (self._most is None or len(self._refs) < self._most):
                job, future = self._waiting.pop(0)
                if future.set_running_or_notify_cancel():
                    ref = self._task.remote(pack(job), self._mail)
                    self._refs[ref] = future
                    ref.future().add_done_callback(lambda done, ref=ref: self._done.put((ref, done)))

    def _settle(self, ref: Any, done: Future[Outcome]) -> None:
        """Pass on what a task gave, and begin the next."""
        with self._lock:
            future = self._refs.pop(ref)
        settle(future, lambda: unwrap_outcome(_outcome(self._ray, done)))
        with self._lock:
            self._start()
            self._lock.notify_all()

    def _listen(self) -> None:
        """Handle finished tasks; fetch progress now and then, without ever waiting for it."""
        asked: Any = None
        while not self._over.is_set():
            with suppress(Empty):
                self._settle(*self._done.get(timeout=_POLL))
                continue
            with suppress(Exception):  # the mailbox died, and comes back empty
                if asked is not None and self._ray.wait([asked], timeout=0)[0]:
                    for report in self._ray.get(asked):
                        self._on_report(report)
                    asked = None
            if asked is None:
                with suppress(Exception):
                    asked = self._mail.take.remote()

    def _leave(self) -> None:
        if self._ours:
            self._ray.shutdown()


class _Mailbox:
    """The latest report of each stack."""

    def __init__(self) -> None:
        self._latest: dict[str, StepReport] = {}

    def put(self, report: StepReport) -> None:
        self._latest[report.stack_id] = report

    def take(self) -> list[StepReport]:
        found, self._latest = list(self._latest.values()), {}
        return found


def _train(data: bytes, mail: Any) -> Outcome:
    """The task: trains a packed job, and sends its progress to the mailbox."""
    return run_packed_job(data, lambda report: mail.put.remote(report))


def _connect(ray: Any, config: RayConfig, workers: int | None) -> None:
    """Join the cluster at the config's address, or start one here."""
    os.environ.setdefault("RAY_raylet_start_wait_time_s", _START_S)
    most = config.slots() if workers is None else workers
    ours: dict[str, Any] = {"num_cpus": most * config.cpus, "include_dashboard": False}
    chosen = ours if config.address is None else {"address": config.address}
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **chosen)
    except Exception as error:
        with suppress(Exception):
            ray.shutdown()
        cause = " ".join(str(error).split())
        place = "be started here" if config.address is None else f"be reached at {config.address}"
        raise ExecutorError(f"a Ray cluster must {place}, but: {cause:.300}") from None


def _check_room(ray: Any, config: RayConfig) -> None:
    """Refuse what Ray would wait for without end."""
    nodes: list[Mapping[str, float]] = [n["Resources"] for n in ray.nodes() if n["Alive"]]
    wanted = {"CPU": config.cpus, "GPU": config.gpus or 0, "memory": (config.memory_gb or 0) * 2**30}
    if not any(all(node.get(name, 0) >= least for name, least in wanted.items()) for node in nodes):
        most = {name: max((node.get(name, 0) for node in nodes), default=0) for name in wanted}
        raise ExecutorError(
            f"a node of the Ray cluster must have room for a stack of cpus={config.cpus}, "
            f"gpus={precise(config.gpus or 0)}, memory_gb={precise(config.memory_gb or 0)}, but the "
            f"largest have {precise(most['CPU'])} CPUs, {precise(most['GPU'])} GPUs "
            f"and {rough(most['memory'] / 2**30)} GB"
        )


def _variables(config: RayConfig) -> dict[str, str]:
    """Threads for the worker, and, on a cluster of this machine, the modules that the driver sees."""
    found = environment(config.cpus)
    if config.address not in (None, "auto", "local"):
        del found["PYTHONPATH"]  # another machine has its modules elsewhere
    return found


def _outcome(ray: Any, done: Future[Outcome]) -> Outcome:
    """What a task gave.

    Raises:
        WorkerDiedError: its process, or its node, ended; JobFailedError: Ray could not run it.
    """
    try:
        return done.result()
    except ray.exceptions.RayTaskError as error:
        raise JobFailedError(" ".join(str(error.cause or error).split())[:500]) from None
    except ray.exceptions.RayError as error:
        cause = " ".join(str(error).split())
        raise WorkerDiedError(f"a Ray worker ended: {type(error).__name__}: {cause:.300}") from None
