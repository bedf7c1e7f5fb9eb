from __future__ import annotations

import csv
import hashlib
import math
from pathlib import Path

import fake_trainer
import pandas as pd
import pytest
from small_study import study

from hptransfer.errors import StoreError
from hptransfer.runs.config import RunRecord
from hptransfer.study.planner import plan
from hptransfer.study.run import StudyResult
from hptransfer.study.runs_table import RUN_COLUMNS, RunsTable, place_of, sweep_table
from hptransfer.study.store import Store
from hptransfer.sweep.table import Source


def test_the_table_has_every_column_and_wall_time_last(undisturbed: StudyResult) -> None:
    with open(undisturbed.csv) as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(RUN_COLUMNS)
    assert list(rows[0])[-1] == "wall_s"
    assert [r["variant"] for r in rows] == sorted((r["variant"] for r in rows), key=["sp", "mup"].index)
    keys = [(r["variant"] == "mup", int(r["width"]), float(r["lr"]), int(r["seed"])) for r in rows]
    assert keys == sorted(keys)


def test_floats_come_back_to_the_last_bit(undisturbed: StudyResult) -> None:
    with open(undisturbed.csv) as file:
        for row in csv.DictReader(file):
            run = study().run(row["variant"], int(row["width"]), 0, 0)
            run = run.model_copy(update={"lr": float(row["lr"])})
            assert row["run_id"] == run.run_id
            assert float(row["lr_mup"]) == float(row["lr"]) * int(row["width"]) / 32
            if row["status"] == "done":
                assert float(row["loss"]) == fake_trainer.loss(run)
            else:
                assert (row["status"], row["loss"]) == ("diverged", "nan")


def test_the_sweep_is_the_table(undisturbed: StudyResult) -> None:
    frame = pd.read_csv(undisturbed.csv)
    sweep = undisturbed.sweep
    assert sweep.variants == ("sp", "mup")
    assert list(sweep.hp) == frame.lr.tolist()
    assert list(sweep.extra["lr_mup"]) == frame.lr_mup.tolist()
    assert sweep.diverged.tolist() == frame.loss.isna().tolist()
    assert sweep.source.path == str(undisturbed.csv)
    assert sweep.source.sha256 == hashlib.sha256(undisturbed.csv.read_bytes()).hexdigest()


def test_failed_runs_are_in_the_table_and_not_in_the_sweep(tmp_path: Path) -> None:
    spec = study()
    stack = plan(spec, {})[0]
    good = fake_trainer._record(stack.runs[0].spec, 0.5)
    bad = RunRecord(stack.runs[1].run_id, "failed", math.nan, error="why")
    stray = RunRecord("unknown", "failed", math.nan)
    with Store(tmp_path) as store:
        results = [(run.spec, record) for run, record in zip(stack.runs, (good, bad, stray), strict=False)]
        store.add(stack.stack_id, results, [place_of(spec, 0, run) for run in stack.runs[:2]])
        table = RunsTable.of(store, spec)
    assert [(row["status"], row["error"]) for row in table.rows] == [("done", None), ("failed", "why")]
    assert len(sweep_table(table.lines, Source(), {})) == 1
    assert [row["error"] for row in table.failed] == ["why"]


def test_a_table_that_cannot_be_written_is_one_line_and_leaves_the_old_one(
    undisturbed: StudyResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hptransfer.files.os.fsync", full)
    (tmp_path / "runs.csv").write_text("old")
    with pytest.raises(StoreError, match=r"writable.*runs\.csv"):
        undisturbed.table.write(tmp_path)
    assert (tmp_path / "runs.csv").read_text() == "old"
