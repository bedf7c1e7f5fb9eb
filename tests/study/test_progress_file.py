from __future__ import annotations

import json
import os
import platform
from pathlib import Path

import pytest
from small_study import study

from hptransfer.errors import StoreError
from hptransfer.study import progress_file
from hptransfer.study.planner import plan
from hptransfer.study.progress import Progress
from hptransfer.study.progress_file import PROGRESS_FILE, ProgressWriter, Watcher
from hptransfer.study.progress_text import running_stacks, summary
from hptransfer.study.run import StudyResult


@pytest.fixture
def folder(undisturbed: StudyResult, tmp_path: Path) -> Path:
    """A finished study's folder, without its last word on progress."""
    (tmp_path / "study.sqlite").write_bytes((undisturbed.folder / "study.sqlite").read_bytes())
    return tmp_path


def test_a_driver_leaves_its_last_word(undisturbed: StudyResult) -> None:
    content = json.loads((undisturbed.folder / PROGRESS_FILE).read_text())
    assert content["state"] == "ended"
    assert not (undisturbed.folder / "progress.json.part").exists()
    assert Watcher(undisturbed.folder).read().state == "ended"


def test_without_a_driver_the_store_is_asked(folder: Path, undisturbed: StudyResult) -> None:
    seen = Watcher(folder).read()
    assert seen.state == "not running"
    assert seen.total("done") == seen.total("planned") == len(undisturbed.rows)
    assert summary(seen).endswith("diverged") or summary(seen).endswith("runs")


def test_a_running_drivers_word_is_taken_with_its_eta(folder: Path) -> None:
    progress = Progress(study(), workers=2)
    stacks = plan(study(), {})
    for stack in stacks:
        progress.open(stack)
    ProgressWriter(progress, folder).tick()
    seen = Watcher(folder).read()
    assert seen.state == "running"
    assert (seen.total("planned"), seen.total("done")) == (24, 0)
    assert seen.left is None
    assert seen.elapsed is not None


def test_a_driver_that_is_gone_or_silent_is_not_believed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beacon = ProgressWriter(Progress(study(), workers=2), folder)
    beacon.tick()
    watcher = Watcher(folder)
    assert watcher.read().state == "running"
    monkeypatch.setattr(progress_file, "STALE", -1.0)
    assert watcher.read().state == "not running"
    monkeypatch.undo()
    content = json.loads((folder / PROGRESS_FILE).read_text())
    content["pid"] = _ended_process()
    (folder / PROGRESS_FILE).write_text(json.dumps(content))
    assert Watcher(folder).read().state == "not running"


def test_snapshots_come_now_and_then_and_a_full_disk_stops_nothing(tmp_path: Path) -> None:
    beacon = ProgressWriter(Progress(study(), workers=1), tmp_path)
    beacon.tick()
    first = (tmp_path / PROGRESS_FILE).read_text()
    beacon.tick()
    assert (tmp_path / PROGRESS_FILE).read_text() == first
    ProgressWriter(Progress(study(), workers=1), tmp_path / "not there").tick()


WHOLE = {
    "host": "x",
    "pid": 1,
    "beat": 1,
    "state": "running",
    "elapsed": 1.0,
    "left": None,
    "cells": [],
    "running_stacks": [],
}
CELL = {"planned": 1, "done": 0, "diverged": 0, "failed": 0, "best": None, "best_lr": None}
WRONG = [
    {"cells": 5},
    {"cells": [["sp", "width 32", {}]]},
    {"cells": [["sp", "width 32", {**CELL, "best": "x"}]]},
    {"cells": [["sp", "width 32", {**CELL, "done": 1e300}]]},
    {"cells": [["\x1b[2J", "width 32", CELL]]},
    {"elapsed": "long"},
    {"elapsed": -1},
    {"left": 1e300},
    {"left": [1]},
    {"running_stacks": [{"size": "\x1b[2J", "runs": 1, "step": 1, "steps": 1}]},
    {"running_stacks": [{"size": "width 32"}]},
    {"running_stacks": [{"size": "width 32", "runs": 1, "step": -5, "steps": 1}]},
    {"pid": 10**30},
    {"pid": -1, "cells": None},
    {"host": platform.node(), "pid": 2**40, "cells": None},
]


def test_a_whole_snapshot_of_another_host_is_taken(folder: Path) -> None:
    (folder / PROGRESS_FILE).write_text(json.dumps({**WHOLE, "cells": [["sp", "width 32", CELL]]}))
    assert Watcher(folder).read().state == "running"


@pytest.mark.parametrize("change", WRONG)
def test_a_file_that_no_driver_wrote_is_not_believed(folder: Path, change: dict[str, object]) -> None:
    (folder / PROGRESS_FILE).write_text(json.dumps({**WHOLE, **change}))
    seen = Watcher(folder).read()
    assert seen.state in ("not running", "running")
    assert summary(seen)
    assert running_stacks(seen) == ""


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"state": "running"}', "[" * 10**5])
def test_half_a_snapshot_is_none(folder: Path, text: str) -> None:
    (folder / PROGRESS_FILE).write_text(text)
    assert Watcher(folder).read().state in ("not running", "ended")


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="must hold"):
        Watcher(tmp_path)


def _ended_process() -> int:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return child
