"""A target of a spec: a width, or a place over several axes, kept as a text `width=4096,tokens=200x`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema


def _target(value: object) -> object:
    """A mapping by axis as one text, which can be hashed; a whole number in any form as an integer."""
    if isinstance(value, Mapping):
        return ",".join(f"{axis}={at}" for axis, at in value.items())
    if isinstance(value, str) and "=" in value:
        return value
    try:
        if float(value) == int(float(value)):  # type: ignore[arg-type]  # what is no number is an error below
            return int(float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(
        f"a target must be a width such as 4096, or a value of every axis of `scale`, but got {value!r}"
    )


_ANY = {"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "object"}]}
Target = Annotated[int | str, BeforeValidator(_target), WithJsonSchema(_ANY)]
