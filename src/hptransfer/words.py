"""Counts, numbers and durations as text, the same in every command, page and error."""

from __future__ import annotations

import math

_UNITS = (("s", 1, 100), ("min", 60, 100), ("h", 3600, 72), ("days", 86400, math.inf))
_SUFFIXES_TO = 1e16  # larger scales are written with an exponent alone
_SUFFIXES = ((1e12, "T"), (1e9, "B"), (1e6, "M"))
_PLAIN_TO = 1e6  # larger numbers are written with an exponent


def count(n: float) -> str:
    """Runs, seeds: a whole number with thousands separated."""
    return f"{n:,.0f}"


def plural(n: int, noun: str, many: str | None = None) -> str:
    """`1 run`, `2 runs`; `many` where the plural is no mere s."""
    return f"{count(n)} {noun if n == 1 else many or noun + 's'}"


def rough(value: float, digits: int = 3) -> str:
    """FLOPs, factors, exponents, which have no interval: `1.59e13`, `8.7e-5`, `0.25`, `1,230`."""
    rounded = float(f"{value:.{digits}g}")
    text = f"{rounded:,.{15 if abs(rounded) < _PLAIN_TO else digits}g}"
    mantissa, e, exponent = text.partition("e")
    return f"{mantissa}e{int(exponent)}" if e else mantissa


def precise(value: float) -> str:
    """A number that somebody set, or will: to six digits, as `0.00390625` or `1,024`."""
    return rough(value, 6)


def scale_text(n: float) -> str:
    """A width, a parameter count or tokens: `1,024`, `124M`, `0.25`."""
    for size, suffix in _SUFFIXES:
        if size <= abs(n) < _SUFFIXES_TO:
            return f"{rough(n / size, 4)}{suffix}"
    return count(n) if float(n).is_integer() and abs(n) < _SUFFIXES_TO else rough(n, 4)


def loss_text(value: float) -> str:
    """A loss or another metric of one run: five digits, zeros at its end too, `3.8930`."""
    if not 1e-4 <= abs(value) < 1e5:
        return rough(value, 5)
    return fixed(value, 4 - math.floor(math.log10(abs(value))))


def percent(share: float, digits: int = 2) -> str:
    """`95%`, `0.25%`, `123%`: whole where that is as many digits."""
    whole = 100 * share
    return f"{count(whole) if abs(whole) >= 10 ** (digits - 1) else rough(whole, digits)}%"


def fixed(value: float, decimals: int = 2) -> str:
    """`0.05`, `1,234.50`: for a column of numbers that are compared by eye; no `-0.00`."""
    return f"{round(value, decimals) + 0.0:,.{decimals}f}"


def signed(value: float, decimals: int = 2) -> str:
    """`+0.11`, `-0.31`, `0.00`: an error or a slope with its direction."""
    text = fixed(value, decimals)
    return f"+{text}" if float(text.replace(",", "")) > 0 else text


def duration(seconds: float) -> str:
    """`40 s`, `12 min`, `3.5 h`, `12 days`."""
    unit, size = next((unit, size) for unit, size, most in _UNITS if seconds / size < most)
    return f"{rough(seconds / size, 2)} {unit}" if seconds / size < 10 else f"{count(seconds / size)} {unit}"
