"""Plain data: the base of every config, alternatives within one, the hash of a spec. No torch here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict


def pairs(value: object) -> object:
    """A mapping as sorted (key, value) pairs, which can be hashed; anything else is left as it is."""
    if isinstance(value, Mapping):
        return tuple(sorted((str(key), "" if v is None else str(v)) for key, v in value.items()))
    return value


Pairs = Annotated[tuple[tuple[str, str], ...], BeforeValidator(pairs)]


class Config(BaseModel):
    """Base of every config: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def with_defaults(data: Any, alternatives: Mapping[str, tuple[Any, str]]) -> Any:
    """Config data with the default of every field whose alternative is not given either.

    Two fields may say the same thing in two ways (steps, or tokens per parameter): then None means "the
    other one", and the default counts only where both are None. `alternatives` gives a field's default and
    the field that replaces it. Data that are no mapping are left to pydantic.

    Raises:
        ValueError: both of a pair are given.
    """
    if not isinstance(data, Mapping):
        return data
    found = dict(data)
    for name, (default, other) in alternatives.items():
        here, there = found.get(name), found.get(other)
        if here is not None and there is not None:
            raise ValueError(
                f"only one of {name} and {other} may be given, but got {name}={here!r}, {other}={there!r}"
            )
        if here is None and there is None:
            found[name] = default
    return found


def spec_hash(data: Mapping[str, Any]) -> str:
    """Hash of plain data in canonical JSON, 16 hex digits of sha256."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
