"""Numbers as text: digits follow the uncertainty, a learning rate is a power of two and a decimal."""

from __future__ import annotations

import math
from typing import TypeGuard

from hptransfer.quantify.result import Estimate
from hptransfer.words import count, fixed, loss_text, percent, plural, precise, rough
from hptransfer.words import scale_text as scale
from hptransfer.words import signed as _signed

__all__ = [
    "count",
    "fixed",
    "loss_text",
    "percent",
    "plural",
    "precise",
    "rough",
    "scale",
]  # and all that is defined here

MISSING = "-"
_PLAIN_FROM = 1e-4  # smaller magnitudes are written with an exponent
_PLAIN_TO = 1e6
_LAST_DECIMAL = -5  # power of ten of the last decimal that small numbers may show
_NOISE = 1e-8  # nats; far below anything a run can measure
_MOST_DIGITS = 6  # significant digits beyond which a narrow interval adds nothing a reader can use


def known(value: float | None) -> TypeGuard[float]:
    """Whether there is a finite number to show."""
    return value is not None and math.isfinite(value)


def known_numbers(item: Estimate) -> list[float]:
    """Value and limits of an estimate, as far as they are known, the value first."""
    return [number for number in (item.value, item.low, item.high) if known(number)]


def number(value: float | None, half: float | None = None) -> str:
    """A value rounded to the leading digits of its uncertainty: the half-width of its interval, if known."""
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return _written(value, _resolution(value, half), _plain(_LAST_DECIMAL, value))


def estimate(item: Estimate | None) -> str:
    """`value [low, high]`, all three to the same digit; a missing limit is written as an infinity."""
    if item is not None and _rounding_noise(item):
        return "0"
    return f"{value(item)} {interval(item)}".rstrip()


def value(item: Estimate | None) -> str:
    """The point estimate alone, with the digits its interval allows."""
    if item is None or not known(item.value):
        return number(None if item is None else item.value)
    resolution = _resolution(item.value, half_width(item))
    return _written(item.value, resolution, _plain(resolution, item.value, item.low, item.high))


def interval(item: Estimate | None) -> str:
    """`[low, high]`, empty where there is none; one-sided intervals are open towards infinity."""
    if item is None or not known(item.value) or not (known(item.low) or known(item.high)):
        return ""
    resolution = _resolution(item.value, half_width(item))
    plain = _plain(resolution, item.value, item.low, item.high)
    low, high = (_written(end, resolution, plain) if known(end) else None for end in (item.low, item.high))
    return f"{'(-inf' if low is None else '[' + low}, {'inf)' if high is None else high + ']'}"


def half_width(item: Estimate) -> float | None:
    """Half of the interval, or the one side there is; None where there is neither."""
    if known(item.low) and known(item.high):
        return abs(item.high - item.low) / 2
    end = item.low if known(item.low) else item.high
    return abs(item.value - end) if known(item.value) and known(end) else None


def octaves(item: Estimate) -> Estimate:
    """The same estimate in x = log2 eta; limits that are not positive become missing."""
    return Estimate(_log2(item.value), _log2(item.low), _log2(item.high), item.flags)


def power_of_two(item: Estimate | None) -> str:
    """`2^-7.31`, with the digits that the interval in octaves allows; at most two decimals without one."""
    x = octaves(item) if item is not None else Estimate()
    if x.value is None:
        return MISSING
    half = half_width(x)
    return f"2^{number(x.value, half)}" if half else f"2^{rough(round(x.value, 2) + 0.0, 4)}"


def decimal(item: Estimate | None) -> str:
    """`0.0063`: at least two significant digits, so that it can be typed into a config."""
    if item is None or not known(item.value):
        return MISSING
    return _typed(item.value, half_width(item))


def hp(item: Estimate | None) -> str:
    """`2^-7.31 = 0.0063`: a hyperparameter in both ways of reading it."""
    if item is None or _log2(item.value) is None:
        return MISSING
    return f"{power_of_two(item)} = {decimal(item)}"


def hp_interval(item: Estimate | None) -> str:
    """`[0.0058, 0.0068]`, limits with two significant digits or more."""
    if item is None or not known(item.value) or not (known(item.low) or known(item.high)):
        return ""
    low = f"[{_typed(item.low, half_width(item))}" if known(item.low) else "(0"
    high = f"{_typed(item.high, half_width(item))}]" if known(item.high) else "inf)"
    return f"{low}, {high}"


def signed(octaves: float | None) -> str:
    """`+0.11`, `-0.31`, `0.00`: an error in octaves with its direction."""
    return _signed(octaves) if known(octaves) else MISSING


def _rounding_noise(item: Estimate) -> bool:
    """A difference of a thing with itself: not zero to the last bit, and not worth fourteen decimals."""
    return all(end is not None and abs(end) < _NOISE for end in (item.value, item.low, item.high))


def _typed(value: float, half: float | None) -> str:
    """Two significant digits or more, three where there is no interval to say how many."""
    unit = 10.0 ** _exponent(value)
    return number(value, min(half or 0.05 * unit, 0.5 * unit))


def _log2(value: float | None) -> float | None:
    return math.log2(value) if known(value) and value > 0 else None


def _exponent(value: float) -> int:
    return math.floor(math.log10(abs(value))) if value else 0


def _resolution(value: float, half: float | None) -> int:
    """Power of ten of the last digit shown: two digits of a half-width that starts with 1 or 2, else one."""
    if half is None or not math.isfinite(half) or half <= 0:
        return _exponent(value) - 3
    leading = _exponent(half)
    shown = leading - 1 if half / 10**leading < 2.95 else leading
    return max(shown, _exponent(max(abs(value), half)) - _MOST_DIGITS + 1)


def _plain(resolution: int, *values: float | None) -> bool:
    """Whether numbers read best without an exponent: not below 1e-4, nor with six decimals below 1e-3."""
    largest = max((abs(v) for v in values if known(v)), default=0.0)
    least = 10 * _PLAIN_FROM if resolution < _LAST_DECIMAL else _PLAIN_FROM
    return largest == 0 or least <= largest < _PLAIN_TO


def _written(value: float, resolution: int, plain: bool) -> str:
    if not plain and value:
        mantissa, exponent = f"{value:.{max(_exponent(value) - resolution, 0)}e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    text = f"{value:.{max(-resolution, 0) if value or plain else 0}f}"
    return text.removeprefix("-") if float(text) == 0 else text
