from __future__ import annotations

import json
import math
import sqlite3
import zlib
from contextlib import closing

import fake_trainer
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from small_study import study

from hptransfer.runs.config import RunRecord
from hptransfer.study import store_schema
from hptransfer.study.store_schema import NARROW, PLACES, RUNS, detail, narrow, record_of, rest_of, spec_of

SPEC = study().run("sp", 32, 2, 0)


def test_the_tables_have_the_columns_that_are_written() -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        store_schema.create(db, {"created_by": "test"})
        columns = {
            table: [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
            for table in ("runs", "members", "details")
        }
        assert db.execute("PRAGMA application_id").fetchone() == (0x68707473,)
        assert db.execute("PRAGMA user_version").fetchone() == (3,)
        assert db.execute("SELECT * FROM meta").fetchall() == [("created_by", "test")]
    assert columns["runs"] == list(RUNS)
    assert columns["members"] == list(PLACES)
    assert columns["details"] == ["run_id", "content"]


losses = st.floats(allow_nan=True, allow_infinity=False)


@given(
    losses, st.lists(st.tuples(st.integers(0, 99), losses), max_size=4), st.sampled_from(["done", "diverged"])
)
@example(math.nan, [(0, 7.0), (3, math.nan)], "diverged")
def test_a_record_comes_back_from_its_row_and_its_details(
    loss: float, curve: list[tuple[int, float]], status: str
) -> None:
    record = RunRecord(
        SPEC.run_id,
        status,
        loss,
        curve=tuple(curve),
        tokens=5,
        wall_s=0.25,
        engine={"stack": 2},  # type: ignore[arg-type]
    )
    row = narrow("stack", record, 7, "2026-01-01")
    assert (row[1], row[-2:]) == ("stack", (7, "2026-01-01"))
    content = detail(SPEC, record)
    again = record_of((row[0], row[2], *row[3 : 3 + len(NARROW)]), content)
    assert repr(again) == repr(record)
    assert spec_of(content) == SPEC


def test_details_hold_no_column_twice_and_are_json_without_nan() -> None:
    record = fake_trainer._record(SPEC, 0.5)
    rest = rest_of(record)
    assert not rest.keys() & {*NARROW, "run_id", "status"}
    plain = json.loads(zlib.decompress(detail(SPEC, record)))
    assert plain.keys() == {"spec", *rest}
    lost = RunRecord("id", "diverged", math.nan, curve=((3, math.inf),))
    assert rest_of(lost)["curve"] == [(3, None)]
    json.dumps(rest_of(lost), allow_nan=False)


def test_details_that_are_no_run_are_refused() -> None:
    with pytest.raises(KeyError):
        record_of(("id", "done", *[None] * len(NARROW)), zlib.compress(b"{}"))
