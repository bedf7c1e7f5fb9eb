"""Single keys of a spec changed: `train.steps=100`, as on the command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hptransfer.errors import SpecError
from hptransfer.plain_yaml import read_yaml
from hptransfer.study.validation_errors import shortened


def apply_overrides(data: Mapping[str, Any], changes: Iterable[str]) -> dict[str, Any]:
    """A spec's plain data with some keys changed; the spec's own checks follow later.

    A change is `KEY=VALUE`: a dot leads into a section, the value is read as YAML.

    Raises:
        SpecError: a change is no `KEY=VALUE`, leads into what is no section, or has a value that is no YAML.
    """
    found = dict(data)
    for change in changes:
        path, equals, text = change.partition("=")
        if not equals or not path.strip():
            raise SpecError(f"a change must be KEY=VALUE, such as train.steps=100, but got {change!r}")
        try:
            value = read_yaml(text)
        except ValueError as error:
            raise SpecError(
                f"{change!r}: its value must be YAML, but: {' '.join(str(error).split())}"
            ) from None
        _put(found, path.strip().split("."), value, change)
    return found


def _put(data: dict[str, Any], path: list[str], value: Any, change: str) -> None:
    """Set a key in place; sections on the way are copied, so that nobody else's change."""
    for name in path[:-1]:
        section = data.get(name)
        if section is not None and not isinstance(section, Mapping):
            raise SpecError(f"{change!r} must lead into a section, but `{name}` is {shortened(section)}")
        data[name] = dict(section or {})
        data = data[name]
    data[path[-1]] = value
