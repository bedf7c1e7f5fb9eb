import numpy as np
import pytest

from hptransfer.errors import SweepError
from hptransfer.sweep import delimited, read


@pytest.mark.parametrize("mark", [",", "\t", ";", "|", " ", "   "])
def test_what_stands_between_fields_is_found(runs, right, write, mark):
    lines = [mark.join(map(str, row)) for row in [("width", "lr", "loss"), *runs]]
    right(read(write("\n".join(lines), "runs.txt")))


def test_comments_blank_lines_and_a_title_are_passed_over(runs, right, write):
    lines = [",".join(map(str, row)) for row in [("width", "lr", "loss"), *runs]]
    right(read(write("\n".join(["# May", "My sweep", "", lines[0], "", *lines[1:4], "# wide", *lines[4:]]))))


def test_names_in_a_comment(runs, right, write):
    lines = [" ".join(map(str, row)) for row in runs]
    right(read(write("\n".join(["# width lr loss", *lines]), "runs.dat")))


def test_a_table_without_names_is_refused_with_the_way_out(write):
    with pytest.raises(SweepError, match="must begin with a line of column names, such as width,lr,loss"):
        read(write("64,0.1,3\n128,0.1,2\n"))


def test_decimal_commas_are_found_and_said(write):
    text = "width;lr;loss\n1.024;0,001;3,5\n2.048;0,001;3,25\n"
    sweep = read(write(text))
    assert (sweep.scale.tolist(), sweep.loss.tolist()) == ([1024, 2048], [3.5, 3.25])
    assert "commas are read as decimal points" in sweep.notes[0]
    assert read(write(text), decimal=",").notes == ()


def test_thousands_stay_thousands(write):
    sweep = read(write('width,lr,loss\n"1,024",0.1,3\n"128,000",0.1,2\n'))
    assert sweep.scale.tolist() == [1024, 128_000]


def test_a_trailing_mark_is_no_field(write):
    assert len(read(write("width,lr,loss,\n64,0.1,3,\n128,0.1,2,\n"))) == 2


def test_a_large_file_reads_as_a_small_one(write, monkeypatch):
    text = "variant,width,lr,seed,loss\n" + "".join(
        f"sp,{w},{2.0**-k!r},{s},{'nan' if k == 9 else 3 + w / 7}\n"
        for w in (64, 128) for k in range(10) for s in range(3)
    )  # fmt: skip
    small = read(write(text))
    monkeypatch.setattr(delimited, "LARGE", 0)
    monkeypatch.setattr(delimited, "CHUNK", 7)
    large = read(write(text))
    for name in ("scale", "hp", "loss", "variant", "seed"):
        np.testing.assert_array_equal(getattr(small, name), getattr(large, name))
    with pytest.raises(SweepError, match=r"row 4 of .* has lr=fast"):
        read(write("width,lr,loss\n64,0.1,3\n64,0.2,3\n64,fast,3\n"))
    assert len(read(write("width,lr,loss\n64,0.1,3\n\n64,0.2,3\n"))) == 2
