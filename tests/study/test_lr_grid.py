from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hptransfer.study.lr_grid import MAX_LRS, LRGrid


@pytest.mark.parametrize("low", ["2^-12", " 2**-12 ", "2 ^ -12", 2.0**-12, "0.000244140625"])
def test_a_power_is_a_number(low: object) -> None:
    grid = LRGrid.model_validate({"low": low, "high": "2^-7"})
    assert (grid.low, grid.high, grid.count) == (2.0**-12, 2.0**-7, 6)


def test_defaults() -> None:
    grid = LRGrid(low=0.001, high=0.01)
    assert (grid.factor, grid.coordinates, grid.extend, grid.extend_by, grid.margin) == (2.0, "mup", 3, 2, 1)


@given(st.integers(1, 12), st.sampled_from([1.25, 2.0**0.5, 2.0, 4.0]), st.floats(1e-12, 1e-3))
def test_a_grid_ends_on_its_high_in_spite_of_rounding(steps: int, factor: float, low: float) -> None:
    assert LRGrid(low=low, high=low * factor**steps, factor=factor).count == steps + 1
    assert LRGrid(low=low, high=low * factor ** (steps + 0.5), factor=factor).count == steps + 1


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"low": 0.1, "high": 0.1}, "low < high must hold, but got low=0.1, high=0.1"),
        ({"low": 1e-9, "high": 1, "factor": 1.01}, f"at most {MAX_LRS} LRs"),
        ({"low": 0, "high": 1}, "greater than or equal to 0.000000000000001"),
        ({"low": 0.1, "high": "9^999999"}, "finite number"),
        ({"low": 0.1, "high": 1e10}, "less than or equal to 1000000000"),
        ({"low": 0.1, "high": "2^"}, "valid number"),
        ({"low": 0.1, "high": 1, "factor": 1}, "greater than 1"),
        ({"low": 0.1, "high": 1, "margin": 0}, "greater than or equal to 1"),
    ],
)
def test_what_is_no_grid_is_refused(fields: dict[str, object], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        LRGrid.model_validate(fields)
