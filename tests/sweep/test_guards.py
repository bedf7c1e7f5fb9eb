import datetime
import io
import os
from pathlib import Path

import pytest

from hptransfer.cli import main
from hptransfer.errors import SweepError
from hptransfer.files import MAX_MIB
from hptransfer.sweep import read
from hptransfer.sweep.guards import MAX_LABEL, check_cells, check_labels, read_content

FAULTS = Path(__file__).parents[3] / "shared" / "faults" / "input"
TABLE = "variant,width,lr,loss\n" + "".join(
    f"sp,{n},{2.0**-x},{3 + 64 / n + 0.05 * (x - 7) ** 2}\n" for n in (64, 128, 256) for x in range(4, 11)
)


def made(kind, folder):
    path = folder / "runs.csv"
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "loop":
            path.symlink_to(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "folder":
            path.mkdir()
    return path


@pytest.mark.parametrize("kind", ["fifo", "loop", "device", "folder"])
def test_what_is_no_file_is_one_line_and_hangs_nothing(tmp_path, capsys, kind):
    with pytest.raises(SystemExit) as ended:
        main(["fit", str(made(kind, tmp_path))])
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_limit_of_a_file_can_be_raised(tmp_path, monkeypatch):
    path = tmp_path / "runs.csv"
    path.write_text(TABLE)
    monkeypatch.setenv(MAX_MIB, "0.0001")
    with pytest.raises(SweepError, match=MAX_MIB):
        read_content(path)
    with pytest.raises(SweepError, match="cells"):
        check_cells(10**6, 3, "x")
    monkeypatch.delenv(MAX_MIB)
    assert read_content(path)


def test_a_long_label_is_one_line_before_memory_is_filled():
    rows = {"variant": ["x" * 130_000] + ["sp"] * 18_000, "width": [64] * 18_001}
    with pytest.raises(SweepError, match=f"at most {MAX_LABEL} characters"):
        read({**rows, "lr": [0.1] * 18_001, "loss": [3.0] * 18_001})


def test_labels_are_shown_without_what_a_terminal_obeys():
    assert check_labels(["a\x1b[31m", "b\0"], "variant") == [r"a\x1b[31m", r"b\x00"]
    with pytest.raises(SweepError, match="differ in what can be seen"):
        check_labels(["a\0", r"a\x00"], "variant")


def test_an_escape_sequence_in_a_table_reaches_no_terminal(tmp_path, capsys):
    (tmp_path / "runs.csv").write_text(TABLE.replace("sp,", "s\x1b]0;x\x07p,"))
    main_ends(["fit", str(tmp_path / "runs.csv"), "--draws", "100"], 0)
    main_ends(["fit", str(tmp_path / "no\x1b[2J.csv")], 2)
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err
    assert r"s\x1b]0;x\x07p" in printed.out


def main_ends(arguments, code):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert (ended.value.code or 0) == code


@pytest.mark.parametrize("setting", [["--tolerance", "inf"], ["--target", "1e-300"], ["--target", "1e308"]])
def test_settings_that_would_overflow_are_refused(tmp_path, capsys, setting):
    (tmp_path / "runs.csv").write_text(TABLE)
    main_ends(["fit", str(tmp_path / "runs.csv"), "--draws", "100", *setting], 2)
    assert "Warning" not in capsys.readouterr().err


def parquet(columns):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = pa.table({**{k: pa.array(v) for k, v in SMALL.items()}, **columns(pa)})
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


SMALL = {"width": [64, 64, 128, 128], "lr": [0.1, 0.2, 0.1, 0.2], "loss": [3.0, 3.1, 2.9, 3.2]}
ODD = {
    "date": lambda pa: {"when": pa.array([2**30] * 4, pa.int32()).cast(pa.date32())},
    "time": lambda pa: {"when": pa.array([2**62] * 4, pa.timestamp("us"))},
    "zone": lambda pa: {"when": pa.array([0] * 4, pa.timestamp("us", tz="No/Where"))},
    "text": lambda pa: {"when": pa.array([b"\xff"] * 4).view(pa.string())},
    "duration": lambda pa: {"when": pa.array([2**62] * 4, pa.duration("s"))},
}


@pytest.mark.parametrize("kind", ODD)
def test_a_column_that_nobody_asked_for_may_be_odd_and_one_asked_for_may_not(tmp_path, kind):
    path = tmp_path / "runs.parquet"
    path.write_bytes(parquet(ODD[kind]))
    assert len(read(path)) == 4
    if kind != "duration":  # which numpy reads as a number
        with pytest.raises(SweepError, match="readable"):
            read(path, variant="when")
        with pytest.raises(SweepError):
            read(path, scale="when")


def test_ordinary_dates_are_read_as_labels(tmp_path):
    path = tmp_path / "runs.parquet"
    path.write_bytes(parquet(lambda pa: {"when": pa.array([datetime.date(2024, 1, 1)] * 4)}))
    assert read(path, variant="when").variants == ("2024-01-01",)


@pytest.mark.skipif(not FAULTS.exists(), reason="the shared inputs are not here")
@pytest.mark.parametrize("path", sorted(FAULTS.glob("*.parquet")), ids=lambda p: p.name)
def test_known_parquet_files_end_well(path):
    pytest.importorskip("pyarrow")
    if path.name.startswith("pq_"):
        with pytest.raises(SweepError, match=r"^[^\n]*UTF|utf-8"):
            read(path)
    else:
        assert len(read(path)) == 112
