"""What is wrong with a spec, in one line that names the key, the value and what is valid."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

_KINDS = {
    "tuple_type": "must be a list",
    "model_type": "must be `key: value` lines",
    "string_pattern_mismatch": "must be letters, digits, dots, dashes and underscores",
}
_SHOWN = 60  # characters of a wrong value that are shown


def describe_error(error: ValidationError, model: type[BaseModel], elsewhere: Mapping[str, str]) -> str:
    """The first error, as one line; an unknown key before a missing one, since a typo explains the gap.

    The model is what was validated; `elsewhere` has keys one might expect, by the path of the key meant.
    """
    first, *others = sorted(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    kind, value = first["type"], first.get("input")
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
    path = path.removeprefix(".")  # `lr.low`, `widths[2]`
    if kind == "extra_forbidden":
        text = _unknown(path, value, _keys(model, first["loc"][:-1]), elsewhere.get(path))
    elif kind == "missing":
        text = f"`{path}` must be given, but is missing"
    elif kind == "value_error":
        text = first["msg"].removeprefix("Value error, ")
        text = f"`{path}`: {text}" if path else text
    else:
        text = f"`{path}` {_must(kind, first['msg'])}, but got {shortened(value)}"
    more = f" (and {len(others)} more)" if others else ""
    return " ".join(f"{text}{more}".split())


def _unknown(path: str, value: object, valid: Sequence[str], meant: str | None) -> str:
    parent, dot, key = path.rpartition(".")
    close = difflib.get_close_matches(key, valid, n=1, cutoff=0.0)
    return (
        f"every key must be known, but got `{path}: {shortened(value)}`; the closest valid key is "
        f"`{meant or parent + dot + close[0]}` (valid here: {', '.join(valid)})"
    )


def _must(kind: str, message: str) -> str:
    """Pydantic's `Input should be ...` and `Tuple should have ...` as `must be ...` and `must have ...`."""
    if kind in _KINDS:
        return _KINDS[kind]
    if should := re.match(
        r"(?:Input|Tuple|String|List) should (.*?)(?: after validation.*|, unable to.*|)$", message
    ):
        return f"must {should[1]}"
    return f"must be valid: {message}"


def shortened(value: object) -> str:
    """The value as Python writes it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _keys(model: type[BaseModel], location: Iterable[int | str]) -> list[str]:
    """Valid keys of the mapping at a location."""
    for part in location:
        if isinstance(part, str) and part in model.model_fields:
            model = _model_in(model.model_fields[part].annotation) or model
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, UnionType, Annotated):
        return next((m for a in get_args(annotation) if (m := _model_in(a))), None)
    return None
