from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hptransfer.errors import SweepError
from hptransfer.sweep.raw_table import base_name, columns_of, concat, find, floats, make_table, shown, texts


def test_tables_under_each_other_remember_where_each_row_is() -> None:
    one = make_table({"lr": [1, 2]}, "a.csv", [2, 3])
    both = concat([one, make_table({"lr": [3], "seed": [0]}, "b.csv", [2])])
    assert both.columns == {"lr": [1, 2, 3], "seed": [None, None, 0]}
    assert [both.place(i) for i in range(3)] == ["row 2 of a.csv", "row 3 of a.csv", "row 2 of b.csv"]
    kept = both.keep(np.array([False, True, True]))
    assert (kept.columns["lr"], kept.place(1), len(kept)) == ([2, 3], "row 2 of b.csv", 2)


def test_nested_records_become_dotted_columns() -> None:
    records = [{"config": {"lr": {"value": 1}}, "loss": 2}, {"loss": 3, "seed": 1}]
    assert columns_of(records) == {"config.lr.value": [1, None], "loss": [2, 3], "seed": [None, 1]}
    deep = {"a": {"b": {"c": {"d": {"e": {"f": {"g": 1}}}}}}}
    assert columns_of([deep]) == {"a.b.c.d.e.f": [{"g": 1}]}
    assert make_table({"config": [{"lr": 1}, {}]}, "t").columns == {"config.lr": [1, None]}


@pytest.mark.parametrize(
    "name", ["lr", "config.lr", "params_lr", "hparams/lr", "config.lr.value", "summary.lr"]
)
def test_prefixes_of_run_tables_are_left_out_of_a_name(name: str) -> None:
    assert base_name(name) == "lr"


def test_a_column_is_found_by_its_best_match() -> None:
    table = make_table({"lr": [1], "config.lr": [2], "params_loss": [3], "Width": [4]}, "t")
    assert [find(table, name, "hp") for name in ("lr", "loss", "width")] == ["lr", "params_loss", "Width"]
    with pytest.raises(
        SweepError, match=r"no column 'widht' \(scale\) in t; did you mean 'Width'\?; columns: lr"
    ):
        find(table, "widht", "scale")
    twice = make_table({"config.lr": [1], "params.lr": [2]}, "t")
    with pytest.raises(SweepError, match=r"could be 'config.lr' or 'params.lr'; name one"):
        find(twice, "lr", "hp")


def test_cells_are_numbers_blanks_or_neither() -> None:
    values, bad = floats(["1e-3", " NA ", None, True, "x", 10**400, 2, np.float32(0.5)])
    assert np.array_equal(values[[0, 6, 7]], [1e-3, 2.0, 0.5])
    assert np.isnan(values[[1, 2, 3, 4, 5]]).all()
    assert bad.tolist() == [False, False, False, True, True, True, False, False]


@given(st.lists(st.one_of(st.floats(allow_nan=False), st.integers(-(2**53), 2**53)), min_size=1))
def test_numbers_are_the_same_read_as_text(cells: list[float]) -> None:
    as_numbers, as_text = floats(cells)[0], floats([repr(cell) for cell in cells])[0]
    assert np.array_equal(as_numbers, as_text)
    assert np.array_equal(as_numbers, np.array(cells, dtype=float))


def test_labels_are_texts_without_a_point_in_whole_numbers() -> None:
    assert texts([1.0, 0.1, None, float("nan"), " mup ", 3]) == ["1", "0.1", "", "", "mup", "3"]
    assert texts([" a", "b "]) == ["a", "b"]


def test_a_cell_in_an_error_is_one_short_line() -> None:
    assert [shown(v) for v in ("lr", "", "a\nb", 1.5)] == ["lr", "''", r"'a\nb'", "1.5"]
    assert (len(shown("x" * 99)), shown("x" * 99, 5)) == (40, "xx...")


def test_columns_of_unequal_length_and_no_rows_are_refused() -> None:
    with pytest.raises(SweepError, match=r"equal length, but t has lengths \[1, 2\]"):
        make_table({"a": [1], "b": [1, 2]}, "t")
    with pytest.raises(SweepError, match="at least one run, but t has no rows"):
        make_table({}, "t")
