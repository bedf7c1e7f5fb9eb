"""Runs averaged over seeds and laid out by scale and hyperparameter."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from known_sweeps import from_rows, join, make

from hptransfer.quantify.basin.cells import cells_of


def test_seeds_are_averaged_and_their_scatter_kept():
    rows = [("v", 64.0, 0.5, "0", 3.0), ("v", 64.0, 0.5, "1", 3.4), ("v", 64.0, 0.25, "0", 2.0)]
    rows += [("v", 128.0, 0.5, "0", 1.0)]
    (cells,) = cells_of(from_rows(rows))
    assert cells.scale.tolist() == [64.0, 128.0]
    assert cells.x == pytest.approx(np.array([[-2.0, -1.0], [-1.0, np.nan]]), nan_ok=True)
    assert cells.loss == pytest.approx(np.array([[2.0, 3.2], [1.0, np.nan]]), nan_ok=True)
    assert cells.count.tolist() == [[1, 2], [1, 0]]
    assert cells.spread == pytest.approx(np.array([[0.0, 2 * 0.2**2], [0.0, 0.0]]))
    assert cells.runs.tolist() == [3, 1]
    assert cells.usable.tolist() == [[True, True], [True, False]]


def test_a_cell_with_one_diverged_run_has_no_loss():
    rows = [("v", 64.0, 0.5, "0", 3.0), ("v", 64.0, 0.5, "1", np.nan), ("v", 64.0, 0.25, "0", 2.0)]
    (cells,) = cells_of(from_rows(rows))
    assert cells.censored.tolist() == [[False, True]]
    assert np.isnan(cells.loss[0, 1])
    assert (cells.count[0, 1], cells.spread[0, 1], cells.diverged[0]) == (0, 0.0, 1)


@pytest.mark.parametrize(("octaves", "cells"), [(9e-7, 1), (1.1e-6, 2)])
def test_two_spellings_of_one_value_are_one_cell(octaves, cells):
    rows = [("v", 64.0, 0.5, "0", 3.0), ("v", 64.0, 0.5 * 2.0**octaves, "1", 3.2)]
    (found,) = cells_of(from_rows(rows))
    assert found.x.shape == (1, cells)


def test_identical_rows_are_counted_once_and_reported():
    rows = [("v", 64.0, 0.5, "0", 3.0)] * 3 + [("v", 64.0, 0.5, "1", 3.0)]
    (cells,) = cells_of(from_rows(rows))
    assert (cells.count[0, 0], cells.duplicates, cells.runs[0]) == (2, 2, 4)


@given(st.permutations(range(60)))
def test_the_order_of_rows_does_not_matter(order):
    sweep = make(widths=(64.0, 128.0, 256.0), noise=0.01, seeds=2)
    rows = sweep.take(np.array(order))
    (one,), (other,) = cells_of(sweep), cells_of(rows)
    assert np.array_equal(one.loss, other.loss, equal_nan=True)
    assert np.array_equal(one.count, other.count)


def test_variants_come_in_the_order_of_the_table():
    found = list(cells_of(join(make(variant="b"), make(variant="a", x0=-7.0))))
    assert [cells.variant for cells in found] == ["b", "a"]
    assert not np.array_equal(found[0].loss, found[1].loss)
