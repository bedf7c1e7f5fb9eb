"""Runs trained on one machine are taken into a study's store on another."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import fake_trainer
import pytest
from small_study import study, without_wall_times

from hptransfer.errors import SpecError, StoreError
from hptransfer.runs.config import RunRecord, RunSpec
from hptransfer.study import record_import
from hptransfer.study.planner import plan
from hptransfer.study.record_import import export_records, import_records
from hptransfer.study.record_table import ENDINGS, TableRow, read_records, write_records
from hptransfer.study.run import StudyResult, load_result, run_study
from hptransfer.study.spec import StudySpec
from hptransfer.study.store import Store

CORPUS = "c0" * 32


ORIGIN = {"commit": "abc", "cpu": "another", "gpu": "a large one"}


@pytest.fixture(autouse=True)
def _the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """The study's text, as if it had been tokenised."""
    monkeypatch.setattr(record_import, "corpus_of", lambda spec: CORPUS)


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


def test_a_table_gives_back_what_was_written(undisturbed: StudyResult, tmp_path: Path) -> None:
    for ending in ENDINGS:
        path = tmp_path / f"runs{ending}"
        with Store(undisturbed.folder, read_only=True) as store:
            kept = {record.run_id: (run, record) for run, record in store.runs() if record.status != "failed"}
            started = store.sessions()[0]["started"]
        assert export_records(undisturbed.folder, path) == len(kept)
        found = read_records(path)
        assert {row.record.run_id for row in found} == set(kept)
        for row in found:
            run, record = kept[row.record.run_id]
            assert row.run == run
            assert repr(row.record) == repr(record)  # every digit, and NaN as NaN
            assert row.origin["started"] == started
            assert row.origin["study"] == "small"


def test_a_study_trained_elsewhere_is_one_trained_here(tmp_path: Path, table: Path, faults: Path) -> None:
    done = import_records(tmp_path / "here", [table], grid())
    assert (done.taken, done.known, done.foreign, done.planned) == (16, 0, 0, 0)
    here = run_study(grid(), tmp_path / "here", train=fake_trainer.NAME)
    assert here.trained == 0
    assert fake_trainer.calls(faults) == []
    whole = run_study(grid(), tmp_path / "whole", train=fake_trainer.NAME)
    assert without_wall_times(here.csv) == without_wall_times(whole.csv)


def test_device_and_origin_stay(tmp_path: Path, table: Path) -> None:
    import_records(tmp_path / "here", [table], grid())
    with Store(tmp_path / "here", read_only=True) as store:
        assert {r.engine["device_name"] for r in store.records().values()} == {"a large one"}
        assert [session["gpu"] for session in store.sessions()] == ["a large one"]
        assert {origin["commit"] for origin in store.origins().values()} == {"abc"}


def test_a_table_taken_in_twice_changes_nothing(tmp_path: Path, table: Path) -> None:
    import_records(tmp_path / "here", [table], grid())
    before = load_result(tmp_path / "here")
    with Store(tmp_path / "here", read_only=True) as store:
        sessions = store.sessions()
    done = import_records(tmp_path / "here", [table, table])
    assert (done.taken, done.known) == (0, 16)
    assert load_result(tmp_path / "here").table.content == before.table.content
    with Store(tmp_path / "here", read_only=True) as store:
        assert store.sessions() == sessions


def test_a_finished_run_stays_as_it_is(tmp_path: Path) -> None:
    spec = grid()
    first, second = tmp_path / "a.records.csv", tmp_path / "b.records.csv"
    write_records(rows(spec, loss=2.0)[:3], first)
    write_records(rows(spec, loss=9.0), second)
    import_records(tmp_path / "here", [first], spec)
    done = import_records(tmp_path / "here", [second])
    assert (done.taken, done.known) == (13, 3)
    with Store(tmp_path / "here", read_only=True) as store:
        assert sorted(r.loss for r in store.records().values()) == [2.0] * 3 + [9.0] * 13


def test_what_is_missing_is_planned_and_what_is_foreign_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "some.records.csv"
    write_records([*rows(grid(variants=["sp"])), *rows(grid(train={"steps": 11}))], path)
    done = import_records(tmp_path / "here", [path], grid())
    assert (done.taken, done.foreign, done.planned) == (8, 16, 8)
    result = run_study(grid(), tmp_path / "here", train=fake_trainer.NAME)
    assert result.trained == 8


def test_extensions_of_the_grid_come_along(undisturbed: StudyResult, tmp_path: Path) -> None:
    path = tmp_path / "all.records.csv"
    count = export_records(undisturbed.folder, path)
    done = import_records(tmp_path / "here", [path], undisturbed.spec)
    assert (done.taken, done.foreign, done.planned) == (count, 0, 0)
    assert without_wall_times(run_study(undisturbed.spec, tmp_path / "here").csv) == without_wall_times(
        undisturbed.csv
    )


def test_another_text_is_refused_and_leaves_nothing(
    tmp_path: Path, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_import, "corpus_of", lambda spec: "d0" * 32)
    with pytest.raises(
        StoreError, match="corpus c0c0c0c0c0c0c0c0 and this study's is d0d0d0d0d0d0d0d0"
    ) as caught:
        import_records(tmp_path / "here", [table], grid())
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "here").exists()


def test_no_study_and_no_spec_is_one_line(tmp_path: Path, table: Path) -> None:
    with pytest.raises(SpecError, match="--spec"):
        import_records(tmp_path / "here", [table])
    with pytest.raises(SpecError, match="holds none of them"):
        import_records(tmp_path / "here", [table], grid(train={"steps": 11}))
    assert not (tmp_path / "here").exists()
