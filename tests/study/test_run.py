from __future__ import annotations

import io
import sqlite3
from collections import Counter
from pathlib import Path

import fake_trainer
import pytest
from rich.console import Console
from small_study import study, without_wall_times

from hptransfer.errors import DataError, HPTransferError, MissingExtraError, StoreError
from hptransfer.study import run as run_module
from hptransfer.study import store as store_module
from hptransfer.study.run import StudyResult, load_result, run_study


def same(result: StudyResult, undisturbed: StudyResult) -> bool:
    return without_wall_times(result.csv) == without_wall_times(undisturbed.csv)


def test_a_study_trains_extends_and_keeps_everything(undisturbed: StudyResult) -> None:
    assert undisturbed.trained == len(undisturbed.rows) == len(undisturbed.sweep)
    assert undisturbed.failures == ()
    assert {row["round"] for row in undisturbed.rows} == {0, 1}
    assert {row["lr_mup"] for row in undisturbed.rows} == {2.0**k for k in range(-12, -4)}
    for key in ("commit", "cpu", "cores", "torch", "spec_hash", "seeds", "hptransfer", "started"):
        assert key in undisturbed.provenance


def test_a_second_start_trains_nothing_and_gives_the_same(undisturbed: StudyResult, faults: Path) -> None:
    before = undisturbed.csv.read_bytes()
    again = run_study(study(), undisturbed.folder, train=fake_trainer.NAME)
    assert again.trained == 0
    assert fake_trainer.calls(faults) == []
    assert again.csv.read_bytes() == before
    assert again.provenance["sessions"] >= 2


def test_a_study_comes_back_from_its_folder(undisturbed: StudyResult) -> None:
    loaded = load_result(undisturbed.folder)
    assert loaded.spec == undisturbed.spec
    assert loaded.rows == undisturbed.rows
    assert loaded.sweep.source == undisturbed.sweep.source


def test_the_number_of_workers_and_the_cap_s_slack_change_no_number(
    undisturbed: StudyResult, tmp_path: Path
) -> None:
    assert same(run_study(study(workers=1), tmp_path, train=fake_trainer.NAME), undisturbed)


def test_a_user_s_mistake_ends_the_study_at_once(tmp_path: Path, faults: Path) -> None:
    fake_trainer.arm(faults, "refuse", 1, 64)
    with pytest.raises(HPTransferError, match="there must be text"):
        run_study(study(), tmp_path / "out", train=fake_trainer.NAME)


def test_where_every_run_fails_the_reason_is_told(tmp_path: Path, faults: Path) -> None:
    for width in (32, 64):
        fake_trainer.arm(faults, "raise", 6, width)  # two stacks, three tries each
    with pytest.raises(HPTransferError, match=r"at least one run.*a fault on purpose") as caught:
        run_study(study(), tmp_path / "out", train=fake_trainer.NAME)
    assert "\n" not in str(caught.value)


def test_a_full_disk_ends_the_study_and_a_restart_completes_it(
    undisturbed: StudyResult, tmp_path: Path, faults: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = store_module.store_schema.connect

    def almost_full(path: Path, read_only: bool) -> sqlite3.Connection:
        db = connect(path, read_only)
        db.execute("PRAGMA max_page_count = 10")
        return db

    with monkeypatch.context() as patch:
        patch.setattr(store_module.store_schema, "connect", almost_full)
        with pytest.raises(StoreError, match="full"):
            run_study(study(), tmp_path, train=fake_trainer.NAME)
    kept = load_result(tmp_path).rows
    assert 0 < len(kept) < len(undisturbed.rows)
    result = run_study(study(), tmp_path, train=fake_trainer.NAME)
    assert same(result, undisturbed)
    # What a worker had finished when the store refused it was left in the spool, and taken in from there.
    assert result.trained < len(result.rows) - len(kept)
    calls = Counter(fake_trainer.calls(faults))
    assert all(calls[str(row["run_id"])] == 1 for row in kept)


def test_a_changed_spec_trains_only_what_is_new(tmp_path: Path, faults: Path) -> None:
    def run(**changes: object) -> StudyResult:
        return run_study(study(widths=[32], **changes), tmp_path / "out", train=fake_trainer.NAME)

    first = run()
    assert run(variants=["sp", "mup", "sp+embd"]).trained == 8
    assert run(lr={"low": "2^-13", "high": "2^-7"}).trained == 2
    assert set(Counter(fake_trainer.calls(faults)).values()) == {1}
    assert run().rows == first.rows


def test_without_torch_the_extra_is_named_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"hptransfer\[lm\]"):
        run_study(study(), tmp_path)


def test_text_that_cannot_be_used_is_told_before_anything_starts(tmp_path: Path) -> None:
    spec = study(data={"source": "text", "files": str(tmp_path / "*.txt")})
    with pytest.raises(DataError, match="matches none"):
        run_study(spec, tmp_path / "out")
    assert not (tmp_path / "out" / "logs").exists()


def test_progress_is_plain_lines_where_there_is_no_terminal(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=60)
    run_study(study(), tmp_path, train=fake_trainer.NAME, console=console)
    first, *lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    lines = [first, *(line for line in lines if line.startswith("width "))]  # none of a machine that is slow
    assert len(lines) == 1 + 2 * 2 * 2  # the study; variants, widths, rounds
    assert any(line.startswith("width 64 mup: 8/8, best 3.15") for line in lines)
    assert "28/32 runs" in lines[-3] or "32/32 runs" in lines[-1]
    assert "\x1b" not in "".join(lines)
