"""Counts, rough numbers and durations as text, the same in every command, page and error."""

from __future__ import annotations

import math

_UNITS = (("s", 1, 100), ("min", 60, 100), ("h", 3600, 72), ("days", 86400, math.inf))


def count(n: float) -> str:
    """Runs, seeds: a whole number with thousands separated."""
    return f"{n:,.0f}"


def plural(n: int, noun: str, many: str | None = None) -> str:
    """`1 run`, `2 runs`; `many` where the plural is no mere s."""
    return f"{count(n)} {noun if n == 1 else many or noun + 's'}"


def rough(value: float, digits: int = 3) -> str:
    """FLOPs, tokens, shares, which have no interval: `1.59e13`, `8.7e-5`, `0.25`."""
    mantissa, e, exponent = f"{value:.{digits}g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if e else mantissa


def duration(seconds: float) -> str:
    """`40 s`, `12 min`, `3.5 h`, `12 days`."""
    unit, size = next((unit, size) for unit, size, most in _UNITS if seconds / size < most)
    return f"{rough(seconds / size, 2)} {unit}" if seconds / size < 10 else f"{count(seconds / size)} {unit}"
