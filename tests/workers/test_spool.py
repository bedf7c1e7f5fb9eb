"""Finished stacks as files: written by a worker, read by this driver or the next."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import fake_trainer
import pytest
from small_study import study

from hptransfer.workers.executor import Job
from hptransfer.workers.spool import (
    DONE,
    checkpoint_of,
    clear,
    discard_result,
    pending_results,
    read_json,
    read_result,
    spool_of,
    write_result,
    write_whole,
)

RUNS = tuple(study().run("sp", 32, index, 0) for index in range(2))
RECORDS = fake_trainer.train(RUNS, compiled=False)


def spooled(folder: Path, stack_id: str = "stack") -> Path:
    write_result(Job(stack_id, RUNS, fake_trainer.NAME, folder=str(folder)), RECORDS)
    return spool_of(folder) / f"{stack_id}{DONE}"


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = spooled(tmp_path)
    assert read_result(path) == list(zip(RUNS, RECORDS, strict=True))
    assert [file.name for file in spool_of(tmp_path).iterdir()] == [path.name]


def test_a_job_without_a_folder_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_result(Job("stack", RUNS, fake_trainer.NAME), RECORDS)
    assert list(tmp_path.iterdir()) == []


def test_pending_results_leave_out_failed_runs_and_set_damaged_files_aside(tmp_path: Path) -> None:
    failed = dataclasses.replace(RECORDS[1], status="failed")
    write_result(Job("one", RUNS, fake_trainer.NAME, folder=str(tmp_path)), [RECORDS[0], failed])
    damaged = spooled(tmp_path, "two")
    damaged.write_bytes(damaged.read_bytes()[:-10])
    ((path, pairs),) = pending_results(spool_of(tmp_path))
    assert path.stem == "one"
    assert pairs == [(RUNS[0], RECORDS[0])]
    assert not damaged.exists()
    assert damaged.with_suffix(".damaged").exists()
    assert read_result(damaged) is None


def test_a_result_is_discarded_and_a_stack_is_cleared(tmp_path: Path) -> None:
    folder = spool_of(tmp_path)
    checkpoint = checkpoint_of(tmp_path, "stack")
    for path in (spooled(tmp_path), checkpoint, folder / "stack.owner", folder / "other.owner"):
        write_whole(path, b"{}") if not path.exists() else None
    discard_result(folder, "stack")
    assert not (folder / f"stack{DONE}").exists()
    assert checkpoint.exists()
    clear(folder, "stack")
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == ["other.owner"]


def test_a_file_that_cannot_be_written_leaves_no_part(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    with pytest.raises(OSError, match="place"):
        write_whole(tmp_path / "place", b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["place"]


@pytest.mark.parametrize(
    ("text", "found"), [('{"a": 1}', {"a": 1}), ("[1]", None), ("{", None), (None, None)]
)
def test_only_a_json_object_is_read(text: str | None, found: object, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "file").write_text(text)
    assert read_json(tmp_path / "file") == found
