from __future__ import annotations

import csv
import dataclasses
import gzip
import math
import shutil
from pathlib import Path
from typing import Any

import fake_trainer
import pytest
from small_study import study

from hptransfer.errors import StoreError
from hptransfer.runs.config import RunRecord, RunSpec
from hptransfer.study.planner import plan
from hptransfer.study.record_table import TableRow, read_records, write_records
from hptransfer.study.run import StudyResult
from hptransfer.study.spec import StudySpec

CORPUS = "c0" * 32


ORIGIN = {"commit": "abc", "cpu": "another", "gpu": "a large one"}


def grid(**changes: Any) -> StudySpec:
    return study(**{"lr": {"low": "2^-8", "high": "2^-5", "extend": 0}, "base_width": 32, **changes})


def record(run: RunSpec, **changes: Any) -> RunRecord:
    """As the fake trainer's, on a GPU far away."""
    engine = {"device": "cuda", "device_name": "a large one", "corpus": CORPUS[:16]}
    return dataclasses.replace(fake_trainer._record(run, 0.1), engine=engine, **changes)


def rows(spec: StudySpec, **changes: Any) -> list[TableRow]:
    return [
        TableRow(run.spec, record(run.spec, **changes), ORIGIN)
        for stack in plan(spec, {})
        for run in stack.runs
    ]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """The whole grid, trained far away."""
    path = tmp_path / "far.records.csv.gz"
    write_records(rows(grid()), path)
    return path


def test_diverged_runs_travel_and_failed_ones_do_not(tmp_path: Path) -> None:
    first, second, third = rows(grid())[:3]
    lost = {"status": "diverged", "loss": math.nan, "diverged_step": 4, "curve": ((0, 7.0), (3, math.nan))}
    diverged = dataclasses.replace(first, record=dataclasses.replace(first.record, **lost))
    failed = dataclasses.replace(second, record=dataclasses.replace(second.record, status="failed"))
    path = tmp_path / "three.records.csv"
    assert write_records([diverged, failed, third], path) == 2
    read = read_records(path)
    assert [repr(row.record) for row in read] == [repr(diverged.record), repr(third.record)]


def edited(table: Path, row: int, column: str, value: str, to: Path) -> Path:
    with gzip.open(table, "rt", newline="") as file:
        found = list(csv.DictReader(file))
    found[row][column] = value
    with to.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(found[0]))
        writer.writeheader()
        writer.writerows(found)
    return to


@pytest.mark.parametrize(
    ("column", "value", "part"),
    [
        ("run_id", "0123456789abcdef", "row 3: a run's id must be the hash of its spec"),
        ("spec", "{", "row 3: a run must be as it was written"),
        ("spec", "[]", "row 3"),
        ("rest", "{}", "row 3"),
        ("loss", "low", "row 3"),
        ("status", "lucky", "row 3"),
        ("tokens", "1e400", "row 3"),
        ("origin", "3", "row 3"),
    ],
)
def test_a_row_that_was_tampered_with_is_named(
    tmp_path: Path, table: Path, column: str, value: str, part: str
) -> None:
    path = edited(table, 1, column, value, tmp_path / "bad.records.csv")
    with pytest.raises(StoreError, match=part) as caught:
        read_records(path)
    assert "\n" not in str(caught.value)


def test_other_files_are_refused_in_one_line(undisturbed: StudyResult, table: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain.records.csv"
    shutil.copy(undisturbed.csv, plain)
    cut = tmp_path / "cut.records.csv.gz"
    cut.write_bytes(table.read_bytes()[:200])
    noise = tmp_path / "noise.records.csv"
    noise.write_bytes(b"\xff\xfe\x00\x01")
    for path, part in (
        (undisturbed.csv, "must end in"),
        (plain, "lacks spec, rest, origin"),
        (tmp_path / "none.records.csv", "No such file"),
        (cut, "readable CSV"),
        (noise, "readable CSV"),
    ):
        with pytest.raises(StoreError, match=part) as caught:
            read_records(path)
        assert "\n" not in str(caught.value)


def test_cells_may_be_large_here_and_nowhere_else(tmp_path: Path) -> None:
    first = rows(grid())[0]
    large = dataclasses.replace(first, origin={"note": "x" * 200_000})
    limit = csv.field_size_limit()
    path = tmp_path / "large.records.csv"
    write_records([large], path)
    assert read_records(path) == [large]
    assert csv.field_size_limit() == limit < 200_000
