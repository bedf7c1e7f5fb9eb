"""The script that ends a command with all that it has started."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from hptransfer.workers.user_code import process_guard

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc")
# Starts a process in a session of its own, that ignores being asked to end, and says its id.
STARTS_ANOTHER = """
import subprocess, sys, time
code = "from signal import *; import time; signal(SIGTERM, SIG_IGN); print(flush=True); time.sleep(100)"
child = subprocess.Popen([sys.executable, "-c", code], start_new_session=True, stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
"""


def guarded(*words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(process_guard.__file__), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def ended(pid: int, within: float = 20) -> bool:
    until = time.monotonic() + within
    while time.monotonic() < until:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(
    ("code", "found"), [("exit(0)", 0), ("exit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 128 + 9)]
)
def test_its_exit_code_is_the_commands(code: str, found: int) -> None:
    with guarded(sys.executable, "-c", code) as guard:
        assert guard.wait(20) == found


def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    with guarded(str(tmp_path / "none")) as guard:
        assert guard.wait(20) == 127
        assert guard.stderr is not None
        assert b"none: No such file or directory" in guard.stderr.read()


@needs_proc
@pytest.mark.parametrize("alone", [False, True])
def test_what_the_command_started_ends_with_it_or_with_the_caller(alone: bool) -> None:
    waits = "import time; time.sleep(100)" if alone else ""
    with guarded(sys.executable, "-c", STARTS_ANOTHER + waits) as guard:
        assert guard.stdout is not None
        assert guard.stdin is not None
        pid = int(guard.stdout.readline())
        if alone:
            guard.stdin.close()  # as when the caller dies
        # Alone, it ends with its command's code (128 + 15) or its own (128 + 9), whichever comes first.
        assert guard.wait(30) in ((128 + 9, 128 + 15) if alone else (0,))
        assert ended(pid)


@needs_proc
def test_the_family_is_all_that_descends_from_a_process() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"]) as child:
        assert child.pid in process_guard.family()
        child.kill()
