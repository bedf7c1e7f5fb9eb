"""Targets over several axes: `params=7e9,tokens=1.4e12`, `params=7e9,tokens=200x`, or mappings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hptransfer.errors import QuantifyError
from hptransfer.sweep.values import number

_TIMES = re.compile(r"^\s*(?P<factor>[^\s*x×]+)\s*[x×]\s*$", re.IGNORECASE)


def read_targets(targets: Any, axes: Sequence[str]) -> tuple[dict[str, float], ...]:
    """Places at which to predict, as numbers by axis.

    Args:
        targets: one or several, each a mapping by axis or a text `axis=value,axis=value`. A value is a
        positive
            number, `7B`, or `200x`: so many times the first axis.
        axes: the names that each must give.

    Raises:
        QuantifyError: one is neither, leaves an axis out or names one that is none.
    """
    several = [targets] if isinstance(targets, str | Mapping) or not hasattr(targets, "__iter__") else targets
    return tuple(_place(target, axes) for target in several)


def read_path(path: Mapping[str, float] | str | None, axes: Sequence[str]) -> dict[str, float] | None:
    """Octaves of each axis per octave of a path, by axis; 0 for those that it does not name."""
    if path is None:
        return None
    given = _pairs(path, axes, "path")
    found: dict[str, float] = {}
    for axis in axes:
        value = number(given.get(axis, 0))
        if value is None or not np.isfinite(value):
            raise QuantifyError(f"a path must give numbers, such as {_example(axes, '1')}, but got {path!r}")
        found[axis] = float(value)
    if not any(found.values()):
        raise QuantifyError(f"a path must change at least one axis, but got {path!r}")
    return found


def _place(target: Any, axes: Sequence[str]) -> dict[str, float]:
    given = _pairs(target, axes, "target")
    missing = [axis for axis in axes if axis not in given]
    if missing:
        raise QuantifyError(
            f"a target must give every axis, but {_shown(target)} leaves out {', '.join(missing)}; "
            "for example "
            f"{_example(axes, '1e9')}"
        )
    out: dict[str, float] = {}
    for axis in axes:
        times = _TIMES.match(given[axis]) if isinstance(given[axis], str) else None
        value = number(times["factor"] if times else given[axis], labelled=times is None)
        if times and axis == axes[0]:
            raise QuantifyError(
                f"200x is so many times {axes[0]}, which must itself be a number: {_shown(target)}"
            )
        if value is None or not (np.isfinite(value) and value > 0):
            raise QuantifyError(f"{axis} of a target must be a positive number, but got {given[axis]!r}")
        out[axis] = float(value) * (out[axes[0]] if times else 1.0)
    return out


def _pairs(target: Any, axes: Sequence[str], what: str) -> dict[str, Any]:
    """What a text or mapping gives, by axis."""
    given: dict[str, Any] = {}
    if isinstance(target, Mapping):
        given = dict(target)
    else:
        for part in str(target).split(","):
            name, equals, value = part.partition("=")
            if not equals:
                example = _example(axes, "1e9" if what == "target" else "1")
                raise QuantifyError(f"a {what} over several axes must be {example}, but got {_shown(target)}")
            given[name.strip()] = value.strip()
    unknown = [name for name in given if name not in axes]
    if unknown:
        raise QuantifyError(
            f"a {what} must name the axes {', '.join(axes)}, but {_shown(target)} names {unknown[0]!r}"
        )
    return given


def _example(axes: Sequence[str], value: str) -> str:
    return ",".join(f"{axis}={value}" for axis in axes)


def _shown(target: Any) -> str:
    if isinstance(target, Mapping):
        return ",".join(f"{name}={value}" for name, value in target.items()) or "an empty one"
    return repr(target)
