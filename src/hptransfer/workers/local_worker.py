"""The process of a local worker: jobs in on stdin, reports and records out on stdout, both pickled.

Started as `python -m hptransfer.workers.local_worker` by `hptransfer.workers.local`.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import traceback
from queue import SimpleQueue
from typing import IO, Any

from hptransfer.workers.run_job import run_packed_job


def main() -> None:
    """Train jobs one after the other until stdin ends, as it does when the driver ends, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to handle
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever training prints goes to the log, not among the messages
    jobs: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_receive, args=(sys.stdin.buffer, jobs), daemon=True).start()
    while True:
        _send(out, *run_packed_job(jobs.get(), lambda report: _send(out, "report", report)))


def _receive(source: IO[bytes], jobs: SimpleQueue[bytes]) -> None:
    """Queue what comes in. In a thread of its own, so that a driver's death ends a worker amid its work."""
    try:
        while True:
            jobs.put(pickle.load(source))
    except EOFError:
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def _send(out: IO[bytes], kind: str, content: Any) -> None:
    pickle.dump((kind, content), out)
    out.flush()


if __name__ == "__main__":
    main()
