"""Kills a study's driver at random instants, 200 times, and compares its result with an undisturbed run.

    python benchmarks/kill_loop.py [--kills 200] [--seed 0]

Drivers are forked from this process, so that each starts at once and kills fall into every phase:
planning, training, writing a stack to the spool, committing it, deleting its file. Training is a formula that
takes some milliseconds, in a thread of the driver. Exit code 0: both tables agree byte for byte (wall times
apart), and no run that was finished when a driver died was lost, changed or trained again.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from hptransfer.errors import StoreError
from hptransfer.runs.config import RunRecord, RunSpec
from hptransfer.study import provenance
from hptransfer.study.run import run_study
from hptransfer.study.spec import parse_study
from hptransfer.study.store import Store
from hptransfer.workers.executor import Job
from hptransfer.workers.run_job import pack, run_packed_job, unwrap_outcome
from hptransfer.workers.spool import pending_results, spool_of

SPEC = parse_study(
    {
        "name": "killed",
        "variants": ["sp", "mup"],
        "widths": [32, 64, 96, 128],
        "lr": {"low": "2^-10", "high": "2^-4", "extend": 1},
        "seeds": [0, 1, 2, 3],
        "stack": 2,
    }
)
STEP_S = 0.004  # seconds that a stack takes, at most
BEGUN = "begun.log"  # in the study's folder: every run, each time that its training is begun


def train(runs: Sequence[RunSpec], **_: object) -> list[RunRecord]:
    """A basin by formula; what is begun is written down first."""
    with open(os.environ["KILL_LOG"], "a") as file:
        file.write("".join(f"{run.run_id}\n" for run in runs))
    time.sleep(random.uniform(0, STEP_S))
    return [RunRecord(run.run_id, "done", _loss(run), curve=((0, 7.0), (1, 3.0))) for run in runs]


def _loss(run: RunSpec) -> float:
    x = math.log2(run.lr * run.model.width / 32) + 7
    return 3 + 10 / run.model.width + 0.02 * x * x + 0.001 * run.seed


class InThread:
    """An engine within the driver: dies with it, and leaves stacks in the spool as every engine does."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)

    def submit(self, job: Job, /) -> Future[list[RunRecord]]:
        """Queue a job."""
        return self._pool.submit(lambda: unwrap_outcome(run_packed_job(pack(job), lambda _: None)))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Finish."""
        self._pool.shutdown(wait, cancel_futures=cancel_futures)

    def abort(self) -> None:
        """Stop."""
        self.shutdown(cancel_futures=True)


def drive(folder: Path) -> None:
    """Run the study to its end, or to this process's."""
    run_study(SPEC, folder, train="kill_loop:train", executor=lambda _: InThread())


def forked(work: Callable[[], None]) -> int:
    """A child that does some work and ends; its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return pid


def finished(folder: Path) -> dict[str, str]:
    """Every finished run, in the store or waiting in the spool, with all that its record says."""
    found = {
        run.run_id: repr(record) for _, pairs in pending_results(spool_of(folder)) for run, record in pairs
    }
    try:
        with Store(folder, read_only=True) as store:
            return found | {record.run_id: repr(record) for _, record in store.runs()}
    except StoreError:  # killed before the store was made
        return found


def begun(folder: Path) -> Counter[str]:
    """How often each run's training was begun."""
    log = folder / BEGUN
    return Counter(log.read_text().split()) if log.exists() else Counter()


def kill_often(folder: Path, kills: int, draw: random.Random, life: float) -> tuple[int, int, float]:
    """Kill a study's drivers until one comes to its end, or so many were killed.

    Returns:
        Kills, finished runs that were lost, changed or begun again, and a fit life in seconds: longer where
        a driver is killed before it gets anywhere.
    """
    killed = faults = 0
    while killed < kills:
        before, calls = finished(folder), begun(folder)
        pid = forked(lambda: drive(folder))
        time.sleep(draw.uniform(0, life))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        after, more = finished(folder), begun(folder)
        faults += sum(after.get(run) != record for run, record in before.items())
        faults += sum(more[run] != calls[run] for run in before)
        if not os.WIFSIGNALED(status):
            break
        killed += 1
        life = life * 1.2 if len(after) == len(before) else max(life * 0.9, 0.02)
    return killed, faults, life


def table(folder: Path) -> list[str]:
    """runs.csv without its last column, wall_s."""
    return [line.rpartition(",")[0] for line in (folder / "runs.csv").read_text().splitlines()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="of the instants")
    options = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent))
    commit = provenance.commit()
    provenance.commit = lambda: commit  # asked once, not at every start
    draw, left, life = random.Random(options.seed), options.kills, 0.1
    faults = differ = studies = spare = 0
    with tempfile.TemporaryDirectory() as name:
        calm = study(Path(name) / "calm")
        drive(calm)
        runs = len(table(calm)) - 1
        while left:
            studies += 1
            folder = study(Path(name) / f"killed-{studies}")
            killed, wrong, life = kill_often(folder, left, draw, life)
            left, faults = left - killed, faults + wrong
            drive(folder)
            differ += table(folder) != table(calm)
            spare += sum(begun(folder).values()) - runs
    print(f"{options.kills} drivers killed, {studies} studies of {runs} runs brought to their end")
    print(f"runs.csv {'agrees byte for byte' if not differ else f'DIFFERS in {differ}'}")
    print(f"{faults} finished runs lost, changed or begun again; {spare} unfinished ones begun again")
    return 0 if not differ and not faults else 1


def study(folder: Path) -> Path:
    """A folder for a study, and the place where it writes down what it begins."""
    folder.mkdir()
    os.environ["KILL_LOG"] = str(folder / BEGUN)
    return folder


if __name__ == "__main__":
    sys.exit(main())
