import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hptransfer.quantify.result import Estimate
from hptransfer.report import number_format

finite = st.floats(-1e9, 1e9, allow_nan=False)


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (Estimate(-1.0234, -1.11, -0.94), "-1.02 [-1.11, -0.94]"),
        (Estimate(2.23e-5, 1.9e-5, 3.04e-5), "2.2e-5 [1.9e-5, 3.0e-5]"),
        (Estimate(2.2e-5, 0.0, 5e-5), "2.2e-5 [0, 5.0e-5]"),
        (Estimate(-0.004, -3.2, 4.1), "0 [-3, 4]"),
        (Estimate(5.0, 3.0, None), "5.0 [3.0, inf)"),
        (Estimate(5.0, None, 8.0), "5 (-inf, 8]"),
        (Estimate(0.0123), "0.01230"),
        (Estimate(1.0, 1.0, 1.0), "1.000 [1.000, 1.000]"),
        (Estimate(None, None, None, ("thin",)), "-"),
        (Estimate(math.inf), "inf"),
        (Estimate(math.nan), "-"),
        (None, "-"),
    ],
)
def test_digits_follow_the_interval(item: Estimate, text: str) -> None:
    assert number_format.estimate(item) == text


@pytest.mark.parametrize(
    ("item", "text", "span"),
    [
        (Estimate(0.0063, 0.0058, 0.0068), "2^-7.31 = 0.0063", "[0.0058, 0.0068]"),
        (Estimate(0.0063, 0.001, 0.04), "2^-7.3 = 0.0063", "[0.0010, 0.040]"),
        (Estimate(3e-5, 2.4e-5, 3.6e-5), "2^-15.02 = 3.0e-5", "[2.4e-5, 3.6e-5]"),
        (Estimate(0.0063, 0.005, None), "2^-7.3 = 0.0063", "[0.0050, inf)"),
        (Estimate(0.0063, None, 0.007), "2^-7.31 = 0.0063", "(0, 0.0070]"),
        (Estimate(512.0), "2^9 = 512", ""),
        (Estimate(0.0), "-", ""),
    ],
)
def test_a_hyperparameter_is_a_power_of_two_and_a_decimal(item: Estimate, text: str, span: str) -> None:
    assert number_format.hp(item) == text
    if span:
        assert number_format.hp_interval(item) == span


@pytest.mark.parametrize(
    ("n", "text"),
    [
        (128.0, "128"),
        (1024.0, "1,024"),
        (124e6, "124M"),
        (1.5e9, "1.5B"),
        (2e12, "2T"),
        (6.4e201, "6.4e201"),
        (0.25, "0.25"),
    ],
)
def test_scales_read_as_people_write_them(n: float, text: str) -> None:
    assert number_format.scale(n) == text


@given(finite, st.floats(1e-9, 1e6))
def test_rounding_stays_within_a_sixth_of_the_half_width(value: float, half: float) -> None:
    assume(half > 1e-9 * abs(value))  # narrower ones vanish in the subtraction
    shown = float(number_format.value(Estimate(value, value - half, value + half)))
    # Two digits of a half-width below 2.95, one above: at most half of the last digit, or six figures.
    assert abs(shown - value) <= max(half / 5.9, 6e-6 * max(abs(value), half)) * (1 + 1e-6)


@given(finite, finite, finite)
def test_any_estimate_can_be_written(value: float, low: float, high: float) -> None:
    item = Estimate(value, min(low, high), max(low, high))
    for write in (
        number_format.estimate,
        number_format.hp,
        number_format.hp_interval,
        number_format.decimal,
        number_format.power_of_two,
    ):
        assert "nan" not in write(item)
    assert not number_format.estimate(item).startswith(("-0 ", "-0.0 "))
