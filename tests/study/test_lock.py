from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hptransfer.errors import StoreError
from hptransfer.study.store import Store


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
