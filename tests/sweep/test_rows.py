"""Rows of cells as a table: the head, decimal commas, rows of another length."""

import pytest

from hptransfer.errors import SweepError
from hptransfer.sweep.options import ReadOptions
from hptransfer.sweep.rows import check_unique, from_rows


def table(rows, **options):
    return from_rows(rows, range(1, len(rows) + 1), "x.csv", ReadOptions(**options))


def test_a_title_and_blank_rows_are_no_head():
    found = table([["My sweep"], ["", ""], ["width", "lr"], [64, 0.1], [None, None], [128, 0.2]])
    assert found.columns == {"width": [64, 128], "lr": [0.1, 0.2]}
    assert found.row.tolist() == [4, 6]  # as the user counts


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([["1", "2"], ["3", "4"]], "line of column names, such as width,lr,loss, but row 1 is 1,2"),
        ([["width", "lr"]], "has a header and no rows"),
        ([["width", "lr", "lr"], ["1", "2", "2"]], "lr more than once"),
        ([["width", "lr"], ["1", "2"], ["1", "2", "3"]], "row 3 of x.csv has 3 and the header 2"),
        ([["width", "lr"], ["1", "2"], ["1"]], "row 3 of x.csv has 1 and the header 2"),
    ],
)
def test_what_is_no_table_is_one_line(rows, said):
    with pytest.raises(SweepError, match=said):
        table(rows)


def test_marks_at_the_end_of_rows_are_no_fields():
    assert table([["width", "lr", ""], ["1", "2", ""], ["3", "4", "", ""]]).columns == {
        "width": ["1", "3"], "lr": ["2", "4"]
    }  # fmt: skip


def test_decimal_commas_are_found_and_can_be_denied():
    rows = [["width", "lr"], ["1.024", "0,001"], ["2.048", "0,002"]]
    found = table(rows)
    assert found.columns == {"width": ["1024", "2048"], "lr": ["0.001", "0.002"]}
    assert "commas are read as decimal points" in found.notes[0]
    assert table(rows, decimal=".").columns["lr"] == ["0,001", "0,002"]
    assert table(rows, decimal=",").notes == ()


def test_names_that_are_twice_there():
    check_unique(["a", "", ""], "x")
    with pytest.raises(SweepError, match="b more than once"):
        check_unique(["a", "b", "b"], "x")
