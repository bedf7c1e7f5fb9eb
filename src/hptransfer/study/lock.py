"""A lock in the study's folder, so that a study has one driver."""

from __future__ import annotations

import os
from pathlib import Path

from hptransfer.errors import StoreError

LOCK_FILE = "study.lock"


def take_lock(folder: Path) -> int:
    """An exclusive lock on a study's folder, which is made where it is missing.

    Returns:
        Its file descriptor. The kernel gives the lock back when this process ends, however it ends; the
        file stays, since removing it would race.

    Raises:
        StoreError: another driver holds it, or the folder does not take files or locks.
    """
    import fcntl

    lock, must = None, "be writable"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
        must = "allow file locks"  # not every file system does
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        must = "be writable"
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    except OSError as error:
        problem = f"a study's folder must {must}, but {folder}: {error.strerror}"
        if lock is not None:
            if isinstance(error, BlockingIOError):
                holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
                problem = (
                    f"a study must have one driver, but process {holder} is running the one in {folder}: "
                    "wait for it, or end it"
                )
            os.close(lock)
        raise StoreError(problem) from error
    return lock
