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
from hptransfer.sweep.run import StudyResult
from hptransfer.sweep.runs import COLUMNS, table, write_csv


def test_the_table_has_every_column_and_wall_time_last(undisturbed: StudyResult) -> None:
    with open(undisturbed.csv) as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(COLUMNS)
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


def test_the_landscape_is_the_table(undisturbed: StudyResult) -> None:
    frame = pd.read_csv(undisturbed.csv)
    landscape = undisturbed.landscape
    assert landscape.variants == ("sp", "mup")
    assert list(landscape.hp) == frame.lr.tolist()
    assert list(landscape.extra["lr_mup"]) == frame.lr_mup.tolist()
    assert landscape.diverged.tolist() == frame.loss.isna().tolist()
    assert landscape.source.path == str(undisturbed.csv)
    assert landscape.source.sha256 == hashlib.sha256(undisturbed.csv.read_bytes()).hexdigest()


def test_failed_runs_are_in_the_table_and_not_in_the_landscape() -> None:
    from hptransfer.sweep.runs import landscape

    spec = study()
    runs = [spec.run("sp", 32, index, 0) for index in range(2)]
    good, _ = (fake_trainer._record(run, 0.5) for run in runs)
    from hptransfer.landscape import Source
    from hptransfer.lm.config import RunRecord

    bad = RunRecord(runs[1].run_id, "failed", math.nan, error="why")
    rows = table(spec, {good.run_id: good, bad.run_id: bad, "unknown": bad})
    assert [row["status"] for row in rows] == ["done", "failed"]
    assert len(landscape(rows, Source())) == 1


def test_a_table_that_cannot_be_written_is_one_line_and_leaves_the_old_one(
    undisturbed: StudyResult, tmp_path: Path
) -> None:
    (tmp_path / "runs.csv.part").mkdir()
    (tmp_path / "runs.csv").write_text("old")
    with pytest.raises(StoreError, match=r"writable.*runs\.csv"):
        write_csv(undisturbed.rows, tmp_path / "runs.csv")
    assert (tmp_path / "runs.csv").read_text() == "old"
