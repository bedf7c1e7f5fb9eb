"""Plain data: the base of every config, alternatives within one, the hash of a spec. No torch here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator


def pairs(value: object) -> object:
    """A mapping as sorted (key, value) pairs, which can be hashed; anything else is left as it is."""
    if isinstance(value, Mapping):
        return tuple(sorted((str(key), "" if v is None else str(v)) for key, v in value.items()))
    return value


Pairs = Annotated[tuple[tuple[str, str], ...], BeforeValidator(pairs)]


class Config(BaseModel):
    """Base of every config: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, data: Any) -> Any:
        """`true` is no 1: pydantic would take it for one."""
        for name, value in data.items() if isinstance(data, Mapping) else ():
            for part in value if isinstance(value, list | tuple) else (value,):
                if isinstance(part, bool) and name in cls.model_fields and name not in _truths(cls):
                    raise ValueError(f"`{name}` must be no truth value, but got {part}")
        return data


@lru_cache(maxsize=256)
def _truths(config: type[Config]) -> frozenset[str]:
    """Fields that take a truth value, or are sections with a check of their own."""
    return frozenset(
        name for name, field in config.model_fields.items() if bool in _types_in(field.annotation)
    )


def _types_in(annotation: Any) -> set[Any]:
    parts = get_args(annotation)
    return {annotation} if not parts else {inner for part in parts for inner in _types_in(part)}


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
