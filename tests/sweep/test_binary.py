import sqlite3
from contextlib import closing

import pandas as pd
import pytest

from hptransfer.errors import SweepError
from hptransfer.sweep import read


@pytest.fixture
def frame(runs):
    return pd.DataFrame(runs, columns=["width", "lr", "loss"])


def test_parquet_and_feather(frame, right, tmp_path):
    pytest.importorskip("pyarrow")
    frame.to_parquet(tmp_path / "runs")
    right(read(tmp_path / "runs"))
    frame.to_feather(tmp_path / "runs.feather")
    right(read(tmp_path / "runs.feather"))


def test_a_workbook_and_its_sheets(frame, right, tmp_path):
    pytest.importorskip("openpyxl")
    with pd.ExcelWriter(tmp_path / "runs.xlsx") as book:
        frame.to_excel(book, sheet_name="sp", index=False)
        frame.to_excel(book, sheet_name="mup", index=False, startrow=3)
        pd.DataFrame({"note": ["hello"]}).to_excel(book, sheet_name="notes", index=False)
    assert read(tmp_path / "runs.xlsx").variants == ("sp", "mup")
    right(read(tmp_path / "runs.xlsx", query="mup"))
    with pytest.raises(SweepError, match=r"must name a sheet of .*, one of sp, mup, notes, but got ntp"):
        read(tmp_path / "runs.xlsx", query="ntp")


def test_a_database_its_tables_and_queries(frame, right, tmp_path):
    path = tmp_path / "runs.db"
    with closing(sqlite3.connect(path)) as database:
        frame.to_sql("runs", database, index=False)
        right(read(path))
        frame.to_sql("more", database, index=False)
    with pytest.raises(SweepError, match=r"has 2 tables: choose one with --query TABLE, .*: runs, more"):
        read(path)
    right(read(path, query="more"))
    right(read(path, query="SELECT width, lr, loss FROM runs"))
    with pytest.raises(SweepError, match=r"cannot read the SQLite database .*no such table"):
        read(path, query="none")
    with pytest.raises(SweepError, match=r"must select rows|no rows"):
        read(path, query="DELETE FROM runs")
    assert len(read(path, query="runs")) == 9  # the file itself is never written


@pytest.mark.parametrize(
    ("name", "kind"), [("a.xlsx", "Excel"), ("a.feather", "Feather"), ("a.db", "SQLite")]
)
def test_damaged_files(tmp_path, name, kind):
    pytest.importorskip("pyarrow")
    pytest.importorskip("openpyxl")
    (tmp_path / name).write_bytes(b"not what the name says")
    with pytest.raises(SweepError, match=kind):
        read(tmp_path / name)
