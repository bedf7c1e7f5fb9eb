from __future__ import annotations

import pytest

from hptransfer.words import count, duration, plural, rough


def test_a_count_has_its_noun_in_number() -> None:
    assert [plural(n, "run") for n in (0, 1, 2, 1200)] == ["0 runs", "1 run", "2 runs", "1,200 runs"]
    assert plural(2, "study", "studies") == "2 studies"
    assert count(1e6) == "1,000,000"


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.59e13, "1.59e13"), (8.7e-5, "8.7e-5"), (0.25, "0.25"), (0, "0"), (123.4, "123"), (-2e9, "-2e9")],
)
def test_a_rough_number_has_no_plus_and_no_leading_zero_in_its_exponent(value: float, text: str) -> None:
    assert rough(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.5, "0.5 s"), (40, "40 s"), (100, "1.7 min"), (5990, "100 min"), (7200, "2 h"), (864000, "10 days")],
)
def test_a_duration_has_one_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text
