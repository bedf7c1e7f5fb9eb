"""Fuzzes every door through which something enters that others wrote.

    python benchmarks/fuzz [--seconds 60] [--door NAME] [--seed 0] [--keep DIR]

Each door gets so many seconds, in a process of its own. Its inputs are mutations of what it was once given
wrongly. An input is a fault where it raises anything but one line for the user, ends with another exit code
than those documented, takes over 20 seconds, or changes a value without a word. Faulty inputs are kept in a
folder, one file each. Exit code 0: no fault.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import select
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import doors
import psutil
from mutations import mutated

HANG = 20.0  # seconds of processor time that one input may take
STUCK = 120.0  # seconds of any time


def work(name: str, seed: int, until: float, folder: Path, keep: Path, report: int) -> None:
    """Feed a door until the time is over; a line of JSON goes to the parent after every input."""
    draw = random.Random(f"{name} {seed}")
    os.chdir(folder)
    door = doors.DOORS[name](folder)
    while time.monotonic() < until:
        given = mutated(draw, door.seeds)
        (folder / "current").write_bytes(given)
        try:
            fault = door.feed(given, draw)
        except BaseException as error:
            fault = f"traceback: {type(error).__name__}"
            (folder / "traceback").write_text(traceback.format_exc())
        if fault:
            save(name, fault, folder, keep)
        os.write(report, (json.dumps(fault) + "\n").encode())


def start(name: str, seed: int, until: float, folder: Path, keep: Path) -> tuple[int, int]:
    """A process for a door; its pid, and where its lines come from."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        quiet = os.open(folder / "printed", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        try:
            work(name, seed, until, folder, keep, write)
        finally:
            os._exit(0)
    os.close(write)
    return pid, read


def fuzz(name: str, seed: int, seconds: float, keep: Path) -> Counter[str]:
    """Inputs and faults of one door, by kind."""
    found: Counter[str] = Counter()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            pid, read = start(name, seed, until, folder, keep)
            seed += 1
            rest = b""
            while True:
                ready = heard(pid, read)
                chunk = os.read(read, 1 << 16) if ready else b""
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    found["inputs"] += 1
                    if fault := json.loads(line):
                        found[fault.partition(":")[0]] += 1
                        print(f"  {name}: {fault}", flush=True)
                if not ready:
                    found["hang"] += 1
                    save(name, "hang", folder, keep)
                    os.kill(pid, signal.SIGKILL)
                if not chunk:
                    break
            os.close(read)
            os.waitpid(pid, 0)
    return found


def heard(pid: int, read: int) -> bool:
    """Whether a child says something before an input has taken too long: of its own time, or of any."""
    child, began = psutil.Process(pid), time.monotonic()
    spent = child.cpu_times().user
    while not select.select([read], [], [], 1.0)[0]:
        busy, waited = child.cpu_times().user - spent, time.monotonic() - began
        if busy > HANG or waited > STUCK:  # on a machine that others keep busy, 20 seconds pass for nothing
            return False
    return True


def save(name: str, fault: str, folder: Path, keep: Path) -> None:
    """Keep a faulty input, with what was said of it."""
    keep.mkdir(parents=True, exist_ok=True)
    stem = keep / f"{name}-{len(list(keep.iterdir()))}"
    stem.write_bytes((folder / "current").read_bytes() if (folder / "current").exists() else b"")
    told = (folder / "traceback").read_text() if (folder / "traceback").exists() else ""
    stem.with_suffix(".txt").write_text(f"{fault}\n{told}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="for each door")
    parser.add_argument("--door", choices=doors.DOORS, action="append")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-faults"))
    options = parser.parse_args()
    faults = 0
    print(f"{'door':10} {'inputs':>8} {'traceback':>10} {'hang':>6} {'exit':>6} {'changed':>8}")
    for name in options.door or doors.DOORS:
        found = fuzz(name, options.seed, options.seconds, options.keep.absolute())
        cells = [found[kind] for kind in ("traceback", "hang", "exit", "changed")]
        faults += sum(cells)
        print(
            f"{name:10} {found['inputs']:8} {cells[0]:10} {cells[1]:6} {cells[2]:6} {cells[3]:8}", flush=True
        )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
