from __future__ import annotations

import math
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_study import study

from hptransfer.errors import StoreError
from hptransfer.runs.config import RunRecord, RunSpec
from hptransfer.study.store import STORE_FILE, Store

RUN = study().run("sp", 32, 0, 0)


def record(run: RunSpec = RUN, **fields: object) -> RunRecord:
    plain = {"run_id": run.run_id, "status": "done", "loss": 3.5, "tokens": 10, "params": 5, "flops": 2.0}
    return RunRecord(**{**plain, **fields})  # type: ignore[arg-type]


def started(folder: Path) -> Store:
    store = Store(folder)
    store.begin(study(), {"commit": "abc"})
    return store


def one_line(error: pytest.ExceptionInfo[StoreError], *parts: str) -> None:
    assert "\n" not in str(error.value)
    for part in parts:
        assert part in str(error.value)


numbers = st.floats() | st.none()


@given(
    loss=st.floats(), se=numbers, first=numbers, curve=st.lists(st.tuples(st.integers(0, 99), st.floats()))
)
def test_a_record_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory,
    loss: float,
    se: float | None,
    first: float | None,
    curve: list[tuple[int, float]],
) -> None:
    given_record = record(
        loss=loss,
        loss_se=se,
        initial_loss=first,
        curve=tuple(curve),
        engine={"stack": 8},
        versions={"a": "1"},
    )
    with started(tmp_path_factory.mktemp("store")) as store:
        store.add("s", [(RUN, given_record)])
        found = store.records()[RUN.run_id]
    assert found.loss == loss or (math.isnan(found.loss) and not math.isfinite(loss))
    assert found.loss_se == se or (found.loss_se is None and not math.isfinite(se or math.nan))
    assert found.initial_loss == first or found.initial_loss is None
    assert [step for step, _ in found.curve] == [step for step, _ in curve]
    assert all(a == b or not math.isfinite(b) for (_, a), (_, b) in zip(found.curve, curve, strict=True))
    assert (found.engine, found.versions, found.flops) == ({"stack": 8}, {"a": "1"}, 2.0)


def test_losses_are_infinite_where_diverged_and_absent_where_failed(tmp_path: Path) -> None:
    runs = [study().run("sp", 32, index, 0) for index in range(3)]
    with started(tmp_path) as store:
        statuses = zip(runs, ("done", "diverged", "failed"), strict=True)
        nan = math.nan
        store.add("s", [(r, record(r, status=s, loss=3.5 if s == "done" else nan)) for r, s in statuses])
        assert store.losses() == {runs[0].run_id: 3.5, runs[1].run_id: math.inf}


def test_a_finished_run_is_never_overwritten_and_a_failed_one_is(tmp_path: Path) -> None:
    with started(tmp_path) as store:
        store.add("s", [(RUN, record(status="failed", loss=math.nan, error="why"))])
        assert store.records()[RUN.run_id].error == "why"
        for loss in (3.0, 9.0):
            store.add("s", [(RUN, record(loss=loss))])
        store.add("s", [(RUN, record(status="failed", loss=math.nan, error="late"))])
        assert store.records()[RUN.run_id].loss == 3.0


def test_a_stack_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    other = study().run("sp", 32, 1, 0)
    with started(tmp_path) as store:
        with pytest.raises(TypeError):
            store.add("s", [(RUN, record()), (other, record(other, engine={"bad": object()}))])
        with pytest.raises(StoreError, match="must be able to hold"):
            store.add("s", [(RUN, record()), (other, record(other, tokens=2**80))])
        assert store.losses() == {}


def test_stacks_kept_together_reach_the_disk_at_the_end_an_error_inside_included(tmp_path: Path) -> None:
    runs = [study().run("sp", 32, index, 0) for index in range(4)]
    with started(tmp_path) as store, Store(tmp_path, read_only=True) as reader:
        with store.batch_commit():
            store.add("a", [(runs[0], record(runs[0]))])
            with pytest.raises(
                StoreError, match="must be able to hold"
            ):  # a stack that cannot be kept takes no other with it
                store.add("b", [(runs[1], record(runs[1])), (runs[2], record(runs[2], tokens=2**80))])
            assert reader.losses() == {}
        assert set(reader.losses()) == {runs[0].run_id}

        def interrupted() -> None:
            with store.batch_commit():
                store.add("c", [(runs[3], record(runs[3]))])
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert set(reader.losses()) == {runs[0].run_id, runs[3].run_id}


def test_a_study_is_read_while_its_driver_works(tmp_path: Path) -> None:
    with started(tmp_path) as store, Store(tmp_path, read_only=True) as reader:
        store.add("s", [(RUN, record())])
        assert reader.losses() == {RUN.run_id: 3.5}
        assert reader.spec().name == "small"
        assert reader.sessions()[0]["commit"] == "abc"
        with pytest.raises(StoreError, match="readonly"):
            reader.add("s", [(RUN, record())])


def test_a_store_of_another_version_is_refused_with_both_versions(tmp_path: Path) -> None:
    started(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / STORE_FILE)) as db:
        db.execute("PRAGMA user_version = 99")
        db.execute("UPDATE meta SET value = '7.1' WHERE key = 'created_by'")
        db.commit()
    with pytest.raises(StoreError) as caught:
        Store(tmp_path)
    one_line(caught, "store schema 3", "has 99", "hptransfer 7.1")
    Path(tmp_path / STORE_FILE).unlink()
    Store(tmp_path).close()  # a refusal gives the lock back


def test_another_program_s_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / STORE_FILE)) as db:
        db.execute("CREATE TABLE photos (name)")
    with pytest.raises(StoreError, match="another program"):
        Store(tmp_path)
    with closing(sqlite3.connect(tmp_path / STORE_FILE)) as db:
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("photos",)]


@pytest.mark.parametrize("damage", ["truncated", "overwritten", "text"])
def test_a_damaged_store_is_refused_in_one_line(tmp_path: Path, damage: str) -> None:
    with started(tmp_path) as store:
        curve = tuple((i, 1.0) for i in range(2000))
        runs = [study().run("sp", 32, index, 0) for index in range(6)]
        store.add("s", [(run, record(run, curve=curve)) for run in runs])
    path = tmp_path / STORE_FILE
    data = path.read_bytes()
    half = len(data) // 2
    damaged = {
        "truncated": data[:half],
        "overwritten": data[:half] + bytes(half),
        "text": b"no database" * 99,
    }
    path.write_bytes(damaged[damage])
    with pytest.raises(StoreError) as caught, Store(tmp_path) as store:
        store.records()
    one_line(caught, "damaged", STORE_FILE)


def test_a_file_left_empty_by_a_kill_at_birth_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / STORE_FILE).touch()
    with started(tmp_path) as store:
        assert store.losses() == {}


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path: Path) -> None:
    other = study().run("sp", 32, 1, 0)
    with started(tmp_path) as store:
        store.add("s", [(RUN, record())])
        store._db.execute("PRAGMA max_page_count = 1")  # SQLite then answers as on a full disk
        with pytest.raises(StoreError) as caught:
            store.add("s", [(other, record(other, curve=tuple((i, 1.0) for i in range(9999))))])
        one_line(caught, "full")
    with Store(tmp_path) as store:
        assert list(store.losses()) == [RUN.run_id]


def test_a_folder_that_cannot_be_made_or_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/hptransfer")):
        with pytest.raises(StoreError) as caught:
            Store(folder)
        one_line(caught, "writable", str(folder))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(StoreError, match="writable"):
        Store(tmp_path)


def test_where_there_is_no_study(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=STORE_FILE):
        Store(tmp_path, read_only=True)
    Store(tmp_path).close()
    with Store(tmp_path, read_only=True) as store, pytest.raises(StoreError, match="never started"):
        store.spec()
