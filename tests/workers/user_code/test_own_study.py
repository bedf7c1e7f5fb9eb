"""A study of a user's own code, from spec to table."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import own_trainer
import pytest
from small_study import study, without_wall_times

from hptransfer.errors import HPTransferError
from hptransfer.fit import quantify
from hptransfer.study.export import combined_sweep
from hptransfer.study.run import fit_study, run_study
from hptransfer.study.spec import StudySpec
from hptransfer.study.store import Store

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


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_an_optimum_that_stands_still_in_mup_coordinates_has_no_drift_there(
    tmp_path: Path, optimizer: str
) -> None:
    """From spec to fit: what the function is handed, what runs.csv says and what drifts are one."""
    spec = study(
        variants=["mine"],
        widths=[32, 64, 128],
        lr={"low": "2^-9", "high": "2^-3", "extend": 0},
        train={"steps": 10, "optimizer": optimizer},
        trial={"kind": "function", "function": "own_trainer:stands_still"},
    )
    result = run_study(spec, tmp_path)
    with Store(tmp_path, read_only=True) as store:
        records = store.records()
    for row in result.rows:
        given = records[str(row["run_id"])].engine["result"]
        assert (given["given_lr"], given["given_lr_mup"]) == (row["lr"], row["lr_mup"])
        assert row["lr_mup"] == float(row["lr"]) * (1 if optimizer == "sgd" else int(row["width"]) / 32)
    fit = fit_study(result).variants["mine"]
    drift = {name: fit.metrics[f"drift_{name}"].value for name in ("sp", "mup")}
    assert drift["mup"] == pytest.approx(0.0, abs=1e-3)
    assert drift["sp"] == pytest.approx(0.0 if optimizer == "sgd" else -1.0, abs=1e-3)
    together_fit = quantify(combined_sweep([tmp_path]), coordinates="sp").variants["mine"]
    assert together_fit.metrics["drift_mup"].value == pytest.approx(0.0, abs=1e-3)
