"""A study of a user's own code, from spec to table."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import own_trainer
import pytest
from small_study import study, without_wall_times

from hptransfer.errors import HPTransferError
from hptransfer.study.run import run_study
from hptransfer.study.spec import StudySpec

SCRIPT = [sys.executable, str(Path(__file__).parent / "own_trainer.py")]


def own(fault: str = "none", **trial: Any) -> StudySpec:
    words = [*SCRIPT, fault, "{lr}", "{width}", "{seed}"]
    return study(
        variants=["mine"],
        widths=[30, 60],
        lr={"low": "2^-8", "high": "2^-6", "extend_by": 1},
        trial={"kind": "command", "command": words, "backoff": 0.01, **trial},
    )


def test_a_command_is_swept_extended_and_not_called_again(tmp_path: Path) -> None:
    result = run_study(own(), tmp_path)
    assert result.failures == ()
    assert {row["width"]: row["round"] for row in result.rows} == {30: 1, 60: 1}
    for row in result.rows:
        assert row["loss"] == own_trainer.loss(float(row["lr"]), int(row["width"]))  # type: ignore[arg-type]
    again = run_study(own(timeout=100), tmp_path)
    assert (again.trained, again.rows) == (0, result.rows)


def test_a_run_that_fails_once_is_retried_and_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    (tmp_path / "markers").mkdir()
    spec = own("once", environment={"MARKERS": str(tmp_path / "markers")})
    result = run_study(spec, tmp_path / "a")
    assert result.failures == ()
    calm = run_study(spec, tmp_path / "b")  # the markers are there now
    assert without_wall_times(result.csv) == without_wall_times(calm.csv)


def test_where_every_call_fails_the_reason_is_told_once(tmp_path: Path) -> None:
    with pytest.raises(HPTransferError, match=r"at least one run.*out of luck.*tried 2 times"):
        run_study(own("exit", retries=1), tmp_path)
