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

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StoreError(f"a study's folder must be writable, but {folder}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(lock)
        raise StoreError(
            f"a study must have one driver, but process {holder} is running the one in {folder}: "
            "wait for it, or end it"
        ) from None
    except OSError as error:  # a file system without locks
        os.close(lock)
        raise StoreError(f"a study's folder must allow file locks, but {folder}: {error.strerror}") from error
    try:
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    except OSError as error:
        os.close(lock)
        raise StoreError(f"a study's folder must be writable, but {folder}: {error.strerror}") from error
    return lock
