from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from hptransfer.errors import StoreError
from hptransfer.study.store import STORE_FILE, Store


def one_line(error: pytest.ExceptionInfo[StoreError], *parts: str) -> None:
    assert "\n" not in str(error.value)
    for part in parts:
        assert part in str(error.value)


def test_two_drivers_are_refused_and_the_lock_dies_with_its_process(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from hptransfer.study.store import Store\n"
        "with Store(Path(sys.argv[1])): print('open', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == b"open\n"
        with pytest.raises(StoreError) as caught:
            Store(tmp_path)
        one_line(caught, "one driver", str(driver.pid))
        driver.kill()
    with Store(tmp_path), pytest.raises(StoreError, match=str(os.getpid())):
        Store(tmp_path)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL])
def test_a_file_system_without_locks_is_one_line_that_says_so(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(file: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    with Store(tmp_path):
        pass
    before = os.listdir("/proc/self/fd") if Path("/proc/self/fd").is_dir() else []
    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(StoreError) as caught:
        Store(tmp_path)
    one_line(caught, "must allow file locks", os.strerror(number))
    assert len(os.listdir("/proc/self/fd")) == len(before) if before else True  # nothing is left open
    with Store(tmp_path, read_only=True):  # which takes no lock
        pass


def test_a_database_that_cannot_be_locked_is_one_line(tmp_path: Path) -> None:
    with Store(tmp_path):
        pass
    with closing(sqlite3.connect(tmp_path / STORE_FILE, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")  # as a file system does that keeps a lock of a process that is gone
        with pytest.raises(StoreError) as caught, Store(tmp_path, read_only=True) as store:
            store.records()
        one_line(caught, "lock")
