"""Labels: variants out of one column or several, seeds of texts and of numbers."""

import numpy as np
import pytest

from hptransfer.errors import SweepError
from hptransfer.sweep import labels
from hptransfer.sweep.guards import MAX_LABEL
from hptransfer.sweep.labels import own_coordinates_of, seed_labels, variant_labels
from hptransfer.sweep.raw_table import make_table

TABLE = make_table(
    {"rule": ["sp", "mup", ""], "decay": [0.1, 0.0, 0.1], "use_mup": ["True", "False", "True"]}, "x"
)


@pytest.mark.parametrize(
    ("columns", "wanted"),
    [
        ((), ["all"] * 3),
        (("rule",), ["sp", "mup", "(blank)"]),
        (("use_mup",), ["use_mup=True", "use_mup=False", "use_mup=True"]),
        (("rule", "decay"), ["sp decay=0.1", "mup decay=0", "(blank) decay=0.1"]),
    ],
)
def test_variants(columns, wanted):
    assert variant_labels(TABLE, columns, "rule").tolist() == wanted


@pytest.mark.parametrize(
    ("cells", "wanted"),
    [
        (np.array([3.0, 1.0, 3.0]), ["3", "1", "3"]),
        (np.array([0.5, np.nan, 1e300]), ["0.5", "", "1e+300"]),
        (np.array([2.0**60, 1.0, -0.0]), ["1.15292150460685e+18", "1", "-0"]),
        ([3, 1.0, None], ["3", "1", ""]),
        (["a", " b ", ""], ["a", "b", ""]),
    ],
)
def test_seeds(cells, wanted, monkeypatch):
    monkeypatch.setattr(labels._of_numbers, "__defaults__", (2,))  # numbers at a time
    table = make_table({"seed": cells}, "x")
    assert seed_labels(table, "seed", "seed").tolist() == wanted
    assert seed_labels(table, None, "seed").tolist() == [""] * 3


def test_a_long_label_is_refused():
    with pytest.raises(SweepError, match=f"at most {MAX_LABEL} characters"):
        seed_labels(make_table({"seed": ["x" * (MAX_LABEL + 1)]}, "x"), "seed", "seed")


def test_own_coordinates_go_by_the_column_or_what_is_said():
    names = np.array(["a", "b", "c"])
    table = make_table({"parametrization": ["mup", "SP", "no rule"]}, "x")
    assert own_coordinates_of(table, names, None) == {"a": "mup", "b": "sp"}
    assert own_coordinates_of(table, names, "sp") == dict.fromkeys("abc", "sp")
    assert own_coordinates_of(TABLE, names, None) == {}
