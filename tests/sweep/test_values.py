import math

import pytest

from hptransfer.sweep.values import has_decimal_commas, number, parse, parse_labelled, with_points


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("60M", 60e6), ("1.2B", 1.2e9), ("4k", 4000), ("0.5x", 0.5), ("128,000", 128_000), ("1_000", 1000),
        ("1,234,567.5", 1_234_567.5), ("12 000", 12_000), ("60M params", 60e6), ("2^-14", 2**-14),
        ("2**-8", 2**-8), ("$2^{-8}$", 2**-8), ("2⁻⁸", 2**-8), ("3×10^-4", 3e-4), ("3 x 10⁻⁴", 3e-4),
        ("3·10^{-4}", 3e-4), ("1e-3", 1e-3), ("−0.5", -0.5), ("**3.05**", 3.05), ("3.05*", 3.05),
        ("~~3.05~~", 3.05), ("3.05†", 3.05), ("3.05 ± 0.02", 3.05), ("3.05 (0.02)", 3.05), ("≈3.1", 3.1),
    ],
)  # fmt: skip
def test_numbers_as_people_write_them(text, value):
    assert parse(text) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("text", ["d128", "w=128", "width 128", "d_model=128", "n:128", "128"])
def test_a_size_may_have_letters_before_it(text):
    assert parse_labelled(text) == 128
    assert (parse(text) is None) == (text != "128")


@pytest.mark.parametrize(
    "text", ["fast", "mup", "1.2.3", "10^10^10", "2^9999", "v2 final", "", "e", "^", "1,2,3"]
)
def test_other_texts_are_no_numbers(text):
    assert parse(text) is None


def test_blanks_are_nan_and_truths_are_no_numbers():
    assert all(math.isnan(number(cell)) for cell in (None, "", " — ", "n/a", "NaN"))
    assert number(True) is None
    assert number([1]) is None


@pytest.mark.parametrize(
    ("cells", "commas"),
    [
        (["0,001", "3"], True),
        (["3,45"], True),
        (["128,000", "1,024"], False),
        (["a,b"], False),
        ([None, 3.0], False),
    ],
)
def test_commas_that_cannot_part_thousands_are_decimal(cells, commas):
    assert has_decimal_commas(cells) is commas


def test_decimal_commas_become_points():
    assert [with_points(cell) for cell in ("0,001", "1.024", "1.024,5", "mup", 3.0)] == [
        "0.001", "1024", "1024.5", "mup", 3.0,
    ]  # fmt: skip
