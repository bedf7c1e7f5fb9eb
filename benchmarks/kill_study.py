"""Kills a study's driver at random moments, starts it again, and compares runs.csv with an undisturbed one.

    python benchmarks/kill_study.py SPEC [--kills 10] [--seed 0] [--folder DIR]

The study is run once undisturbed; then its driver is killed with SIGKILL at random moments over its whole
course, several times, and at last left to finish. Exit code 0: both tables agree byte for byte
(wall times apart), no kill left a worker behind, and no finished run was lost or run again. Each half has a
compile cache of its own, so that kills also fall into compiling.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from hptransfer.errors import StoreError
from hptransfer.study.store import Store
from hptransfer.workers.run_job import TRAIN

DRIVE = """
import sys
from rich.console import Console
from hptransfer.errors import HPTransferError
from hptransfer.study.run import run_study
from hptransfer.study.spec import load_study
try:
    result = run_study(load_study(sys.argv[1]), sys.argv[2], train=sys.argv[3], console=Console())
except HPTransferError as error:
    sys.exit(f"error: {error}")
sys.exit(3 if result.failures else 0)
"""


@dataclass(frozen=True)
class Half:
    """One of the two ways in which the study is run."""

    spec: Path  # of the study
    folder: Path  # for its store
    train: str  # what trains its stacks

    def start(self) -> subprocess.Popen[bytes]:
        """Start its driver."""
        self.folder.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(self.folder / "compiled")}
        with open(self.folder / "driver.log", "ab") as log:
            return subprocess.Popen(
                [sys.executable, "-c", DRIVE, str(self.spec), str(self.folder), self.train],
                stdout=log,
                stderr=log,
                env=environment,
            )

    def finish(self) -> float:
        """Run it to its end; seconds."""
        started = time.monotonic()
        code = self.start().wait()
        if code:
            sys.exit(f"the driver ended with exit code {code}; see {self.folder / 'driver.log'}")
        return time.monotonic() - started

    def finished(self) -> dict[str, float]:
        """Wall time of every finished run by run id, which tells whether a run was run again."""
        try:
            with Store(self.folder, read_only=True) as store:
                return {
                    k: record.wall_s for k, record in store.records().items() if record.status != "failed"
                }
        except StoreError:  # killed before the store was made
            return {}

    def table(self) -> list[str]:
        """runs.csv without its last column, wall_s."""
        return [line.rpartition(",")[0] for line in (self.folder / "runs.csv").read_text().splitlines()]


def kill(half: Half, least: int, delay: float) -> tuple[bool, list[int]]:
    """Start the driver, and kill it some seconds after the store holds so many runs, or with the next.

    Returns:
        Whether it was alive when the kill came, and the workers that outlived it.
    """
    driver = half.start()
    while driver.poll() is None and len(half.finished()) < least:
        time.sleep(0.1)
    reached, until = len(half.finished()), time.monotonic() + delay
    while driver.poll() is None and len(half.finished()) == reached and time.monotonic() < until:
        time.sleep(0.05)
    if driver.poll() is not None:
        return False, []
    family = psutil.Process(driver.pid).children(recursive=True)
    driver.kill()
    driver.wait()
    _, alive = psutil.wait_procs(family, timeout=30)
    return True, [process.pid for process in alive]


def kill_often(half: Half, kills: int, runs: int, duration: float, draw: random.Random) -> int:
    """Kill the study at moments spread over its whole course; faults seen.

    A moment is a random number of further runs, so that the study gets somewhere, and then a random wait.
    """
    faults = hit = 0
    before: dict[str, float] = {}
    for number in range(kills):
        share = draw.random() / (kills - number)
        least = len(before) + int(share * (runs - len(before)))
        delay = draw.uniform(0.0, 0.6) * duration / kills
        alive, orphans = kill(half, least, delay)
        hit += alive
        now = half.finished()
        moved = [run for run in before if now.get(run) != before[run]]
        faults += len(orphans) + len(moved)
        print(
            f"  {number + 1}: {'killed' if alive else 'was finished'} {delay:.1f} s after {least} runs, "
            f"{len(now)} runs kept, {len(orphans)} processes left behind, "
            f"{len(moved)} finished runs lost or run again",
            flush=True,
        )
        before = now
    if hit < kills:
        print(f"  only {hit} of {kills} kills met a running study")
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("spec", type=Path)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--folder", type=Path, help="for both studies; default: a temporary one")
    parser.add_argument("--train", default=TRAIN, help=argparse.SUPPRESS)
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="kill-study-"))
    plain = Half(options.spec, folder / "undisturbed", options.train)
    killed = Half(options.spec, folder / "killed", options.train)
    duration = plain.finish()
    runs = len(plain.table()) - 1
    print(f"undisturbed: {runs} runs in {duration:.1f} s", flush=True)
    faults = kill_often(killed, options.kills, runs, duration, random.Random(options.seed))
    print(f"last start: {killed.finish():.1f} s", flush=True)
    same = plain.table() == killed.table()
    print(f"runs.csv {'agrees byte for byte' if same else 'DIFFERS'}, {faults} faults; both in {folder}")
    return 0 if same and not faults else 1


if __name__ == "__main__":
    sys.exit(main())
