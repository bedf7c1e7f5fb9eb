from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from hptransfer.study.target import Target

READ = TypeAdapter(Target).validate_python


@pytest.mark.parametrize(
    ("given", "target"),
    [
        (1024, 1024),
        (1024.0, 1024),
        ("1024", 1024),
        ("width=64,tokens=200x", "width=64,tokens=200x"),
        ({"width": 64, "tokens": "4M"}, "width=64,tokens=4M"),
        ({"width": 64, "tokens": 1.4e12}, "width=64,tokens=1400000000000.0"),
    ],
)
def test_a_target_is_a_width_or_a_place(given: Any, target: Any) -> None:
    assert READ(given) == target
    assert READ(READ(given)) == target


@pytest.mark.parametrize("given", ["wide", 10.5, None, "inf", [1]])
def test_anything_else_is_refused(given: Any) -> None:
    with pytest.raises(ValidationError, match="a target must be a width"):
        READ(given)
