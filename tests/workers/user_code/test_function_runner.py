"""The script that calls a user's function."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hptransfer.workers.user_code import function_runner
from hptransfer.workers.user_code.function_runner import arguments, plain

KNOWN: dict[str, Any] = {"lr": 0.1, "width": 64, "seed": 0}


def some(lr: float, width: int, other: int = 3) -> float:
    return lr * width + other


def test_a_function_is_given_what_it_names() -> None:
    assert arguments(some, KNOWN, "m:f") == {"lr": 0.1, "width": 64}
    assert arguments(lambda **everything: 0, KNOWN, "m:f") == KNOWN
    assert arguments(lambda *, seed: 0, KNOWN, "m:f") == {"seed": 0}


def test_a_parameter_that_nothing_is_known_of_ends_it() -> None:
    with pytest.raises(
        SystemExit, match="m:f must take known values, but takes 'beta'; valid: lr, seed, width"
    ):
        arguments(lambda lr, beta: 0, KNOWN, "m:f")


def test_results_are_plain_numbers() -> None:
    assert plain(np.float32(0.5)) == {"loss": 0.5}
    found = plain({"loss": np.float64(2), "steps": np.int64(3), 4: "x", "curve": [1, 2]})
    assert found == {"loss": 2.0, "steps": 3, "4": "x", "curve": [1, 2]}
    assert json.loads(json.dumps(found)) == found


def test_the_script_leaves_its_result_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def train(lr, width):\n    print('hello')\n    return lr * width\n")
    words = [sys.executable, "-P", str(function_runner.__file__), "mine:train", str(tmp_path / "result.json")]
    done = subprocess.run(
        [*words, json.dumps(KNOWN)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "hello\n"
    assert json.loads((tmp_path / "result.json").read_text()) == {"loss": pytest.approx(6.4)}
    done = subprocess.run(
        [*words[:3], "mine:none", *words[4:], "{}"], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 1
    assert b"none" in done.stderr
