import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hptransfer.errors import SweepError
from hptransfer.sweep.raw_table import make_table
from hptransfer.sweep.where import where

TABLE = make_table(
    {
        "epoch": ["1", "5", "", "5.0", "x"],
        "variant": ["sp", "mup", "sp+embd", "mup-ln", "a b"],
        "train/loss": [1.0, 2.0, None, 4.0, float("nan")],
        "width of it": [1, 2, 3, 4, 5],
    },
    "the table",
)


@pytest.mark.parametrize(
    ("expression", "rows"),
    [
        ("epoch == 5", [1, 3]),
        ("epoch==5", [1, 3]),
        ("epoch != 5", [0, 2, 4]),
        ("epoch in [1, 5]", [0, 1, 3]),
        ("epoch in (1)", [0]),
        ("variant == sp", [0]),
        ("variant == sp+embd", [2]),
        ("variant in [mup, mup-ln]", [1, 3]),
        ("variant == 'a b'", [4]),
        ('variant != "a b"', [0, 1, 2, 3]),
        ("train/loss >= 2", [1, 3]),
        ("train/loss < 4", [0, 1]),
        ("`width of it` > 3", [3, 4]),
        ("epoch == 1 or epoch == 5 and variant == mup", [0, 1]),
        ("(epoch == 1 or epoch == 5) and variant == mup", [1]),
        ("epoch == 'x'", [4]),
    ],
)
def test_expressions(expression, rows):
    assert where(TABLE, expression).row.tolist() == rows


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "expected a column, but found the end"),
        ("epoch", "expected one of == != <= >= < > in after epoch"),
        ("epoch =", "cannot read ="),
        ("epoch == ", "expected a value, but found the end"),
        ("epoch < big", "< needs a number, but got big"),
        ("epoch == 5 variant == sp", "expected `and` or `or` before variant"),
        ("(epoch == 5", "expected \\), but found the end"),
        ("epoch in 5", "expected \\[, but found 5"),
        ("epok == 5", "did you mean 'epoch'"),
        ("epoch == 77", "leaves none of the 5 rows"),
        ("__import__('os').system('true')", "no column '__import__'"),
        ("epoch('os')", "expected one of"),
        ("(" * 60 + "epoch == 5" + ")" * 60, "nest deeper than 50"),
    ],
)
def test_bad_expressions(expression, message):
    with pytest.raises(SweepError, match=message) as caught:
        where(TABLE, expression)
    assert "\n" not in str(caught.value)


PIECES = st.sampled_from(
    [
        "epoch",
        "variant",
        "==",
        "!=",
        "<",
        "in",
        "[",
        "]",
        "(",
        ")",
        ",",
        "and",
        "or",
        "5",
        "'",
        "`",
        "=",
        "sp",
        " ",
        "é",
    ]
)


@given(st.lists(PIECES, max_size=12).map(" ".join) | st.text(max_size=30))
def test_any_text_filters_or_says_why_not(expression):
    with contextlib.suppress(SweepError):
        assert 1 <= len(where(TABLE, expression)) <= 5
