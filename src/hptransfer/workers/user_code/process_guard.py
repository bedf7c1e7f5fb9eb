"""Runs a command and makes sure that none of its processes outlives the process that called it.

A script of its own, standard library only, started by `hptransfer.workers.user_code.command` with a pipe
as stdin. When the pipe ends, as it does when the worker dies, however it dies, the command is ended with all
that it has started, in whatever session that may be (torchrun gives its workers sessions of their own).
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time

GRACE = 3.0  # seconds between asking processes to end and ending them
_ADOPT_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER


def main() -> None:
    """Run `sys.argv[1:]`; exit with its code, 128 + n where signal n ended it, 127 where it cannot start."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_ADOPT_ORPHANS, 1, 0, 0, 0)
    signal.signal(signal.SIGTERM, lambda *_: None)  # sent to the group, meant for the command
    try:
        child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    except OSError as error:
        print(f"{sys.argv[1]}: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(127)
    threading.Thread(target=_when_alone, daemon=True).start()
    code = child.wait()
    end_family()
    os._exit(code if code >= 0 else 128 - code)


def _when_alone() -> None:
    """End everything once nobody is at the other end of stdin."""
    with contextlib.suppress(OSError):
        while os.read(0, 1024):
            pass
    end_family()
    os._exit(128 + signal.SIGKILL)


def end_family(grace: float = GRACE) -> None:
    """End every process that descends from this one: first ask, then end."""
    _signal_all(signal.SIGTERM)
    until = time.monotonic() + grace
    while family() and time.monotonic() < until:
        _reap()
        time.sleep(0.02)
    until = time.monotonic() + grace
    while family() and time.monotonic() < until:
        _signal_all(signal.SIGKILL)
        _reap()
        time.sleep(0.02)


def family() -> list[int]:
    """Processes that descend from this one and are alive; none are found where there is no /proc."""
    parents: dict[int, int] = {}
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc"):
            if name.isdigit():
                with contextlib.suppress(OSError, ValueError, IndexError):
                    with open(f"/proc/{name}/stat", "rb") as file:
                        state, parent = file.read().rpartition(b")")[2].split()[:2]
                    if state != b"Z":
                        parents[int(name)] = int(parent)
    found, generation = [], [os.getpid()]
    while generation:
        generation = [pid for pid, parent in parents.items() if parent in generation]
        found += generation
    return found


def _signal_all(number: int) -> None:
    for pid in family():
        with contextlib.suppress(OSError):
            os.kill(pid, number)


def _reap() -> None:
    """Take in the orphans that have ended."""
    with contextlib.suppress(OSError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


if __name__ == "__main__":
    main()
