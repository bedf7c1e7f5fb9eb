"""Local executor: worker processes on this machine, each pinned to one thread."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Literal

from hptransfer.errors import StoreError
from hptransfer.runs.config import RunRecord
from hptransfer.workers.environment import environment, gpus
from hptransfer.workers.executor import ExecutorConfig, Job, OnReport, WorkerDiedError
from hptransfer.workers.run_job import pack, settle, unwrap_outcome


class LocalConfig(ExecutorConfig):
    """Worker processes on this machine."""

    kind: Literal["local"] = "local"

    def slots(self) -> int:
        """One stack a GPU, where there are any: several processes on one would only take turns."""
        return len(gpus()) or super().slots()


class LocalExecutor:
    """Trains jobs in worker processes. A worker that dies is replaced.

    Largest jobs first; but a worker continues with the shape it has compiled, and leaves another worker's
    shape to that one as long as there is something else to do: a compile costs as much as many runs.

    Each process belongs to one thread here, which hands it jobs and listens to it. Workers end when this
    process ends, however it ends.

    Args:
        config: `cpus` is the number of threads of a worker.
        workers: processes, which take the GPUs in turn; None: one a GPU, or as many as there are cores for.
        folder: of the study; what workers print goes into `logs` there, one file each.
        on_report: called with progress, from several threads; must not block.

    Raises:
        StoreError: the folder for logs cannot be written.
    """

    Config = LocalConfig

    def __init__(self, config: LocalConfig, workers: int | None, folder: Path, on_report: OnReport) -> None:
        logs = folder / "logs"
        try:
            logs.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"the folder for logs must be writable, but {logs}: {error.strerror}") from error
        self._on_report = on_report
        self._ready = threading.Condition()
        self._waiting: list[tuple[Job, Future[list[RunRecord]]]] = []
        self._closed = False
        devices = gpus() or (None,)
        self._workers = [
            _Worker(logs / f"worker-{n}.log", environment(config.cpus, devices[n % len(devices)]))
            for n in range(workers or config.slots())
        ]
        self._threads = [
            threading.Thread(target=self._serve, args=(worker,), daemon=True) for worker in self._workers
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job, /) -> Future[list[RunRecord]]:
        """Queue a job; see `hptransfer.workers.executor.Executor` for what its future gives."""
        future: Future[list[RunRecord]] = Future()
        with self._ready:
            if self._closed:
                raise RuntimeError("cannot submit a job after shutdown")
            self._waiting.append((job, future))
            self._ready.notify()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more jobs; end each worker when its job is done and none is waiting."""
        with self._ready:
            self._closed = True
            if cancel_futures:
                for _, future in self._waiting:
                    future.cancel()
                self._waiting.clear()
            self._ready.notify_all()
        if wait:
            for thread in self._threads:
                thread.join()

    def abort(self) -> None:
        """Kill the workers; jobs they were training raise `WorkerDiedError`, waiting ones are cancelled."""
        self.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
            worker.kill()
        self.shutdown()

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers that are alive."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    def _serve(self, worker: _Worker) -> None:
        while (item := self._take(worker)) is not None:
            job, future = item
            if future.set_running_or_notify_cancel():
                settle(future, partial(worker.run, job, self._on_report))
        worker.end()

    def _take(self, worker: _Worker) -> tuple[Job, Future[list[RunRecord]]] | None:
        """The best waiting job for a worker; None when there will be no more."""
        with self._ready:
            while not self._waiting and not self._closed:
                self._ready.wait()
            if not self._waiting:
                return None
            others = {other.shape for other in self._workers if other is not worker} - {None, worker.shape}

            def fitness(item: tuple[Job, object]) -> tuple[bool, bool, float]:
                shape = item[0].shape
                return shape is not None and shape == worker.shape, shape not in others, item[0].flops

            best = max(self._waiting, key=fitness)
            self._waiting.remove(best)
            worker.shape = best[0].shape or worker.shape
            return best


class _Worker:
    """A worker's process: started when it is first needed, and again after it died."""

    def __init__(self, log: Path, variables: Mapping[str, str]) -> None:
        self.shape: tuple[int, int] | None = None  # last one compiled here
        self._log = log
        self._variables = variables
        self._process: subprocess.Popen[bytes] | None = None
        self._killed = False
        self._starting = threading.Lock()  # so that a kill never misses a process that is about to start

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.poll() is None else None

    def run(self, job: Job, on_report: OnReport) -> list[RunRecord]:
        process = self._alive()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(pickle.dumps(pack(job)))
            process.stdin.flush()
            while True:
                kind, content = pickle.load(process.stdout)
                if kind != "report":
                    return unwrap_outcome((kind, content))
                on_report(content)
        except (EOFError, OSError, pickle.UnpicklingError):  # also a message cut short by a kill
            raise WorkerDiedError(self._exit_message(process)) from None

    def end(self) -> None:
        """Let it go: it ends when its stdin does."""
        if self._process is None:
            return
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):  # a message that it no longer hears
                    stream.close()
        self._process.wait()

    def kill(self) -> None:
        """End it at once, with whatever it started (compilers)."""
        with self._starting:
            self._killed = True
            if self._process is not None and self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)

    def _alive(self) -> subprocess.Popen[bytes]:
        with self._starting:
            if self._killed:
                raise WorkerDiedError("the executor was ended")
            if self._process is None or self._process.poll() is not None:
                self.end()
                self._process = _start(self._log, self._variables)
            return self._process

    def _exit_message(self, process: subprocess.Popen[bytes]) -> str:
        self.end()
        self.shape = None  # what it had compiled died with it
        code = process.returncode
        cause = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        hint = " (out of memory?)" if code == -signal.SIGKILL else ""
        return f"worker process {process.pid} ended with {cause}{hint}; its log is {self._log}"


def _start(log: Path, variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """A fresh interpreter that sees the same modules, but (unlike multiprocessing) runs no script again."""
    with open(log, "ab") as stderr:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "hptransfer.workers.local_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={**os.environ, **variables},
            process_group=0,  # Ctrl-C in a terminal goes to the driver alone
        )
