"""Cells as numbers as people write them: 60M, 1.2B, 4k, 128,000, 2^-14, d128, **3.05**, 3.05 ± 0.02."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

BLANK = frozenset({"", "-", "--", "—", "–", "na", "n/a", "<na>", "nan", "none", "null"})  # stand for no value
UNITS = {"k": 1e3, "m": 1e6, "mm": 1e6, "b": 1e9, "bn": 1e9, "g": 1e9, "t": 1e12, "x": 1.0, "×": 1.0}
PLAIN = str.maketrans("−⁻⁰¹²³⁴⁵⁶⁷⁸⁹\u00a0\u202f", "--0123456789  ")
SUPERSCRIPT = re.compile(r"(?<=\d)([⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)")
MARKS = re.compile(
    r"\*\*|__|~~|[*†‡§`$≈~]|\\times|\\cdot|\[\^?\w+\]|</?\w+/?>"
)  # of Markdown, LaTeX, footnotes
NUMBER = r"[+-]?(?:\d+(?:_\d+)*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:[, ]\d{3})+(?:\.\d+)?(?=\D|$)")
POWER = re.compile(rf"(?:({NUMBER})\s*[x×·*]\s*)?(2|10|e)\s*(?:\^|\*\*)\s*[{{(]?\s*({NUMBER})\s*[)}}]?")
WITH_UNIT = re.compile(
    rf"({NUMBER})\s*(k|mm|m|bn|b|g|t|x|×)?(?:\s*(?:params|parameters|tokens|dims?|units|nats))?",
    re.IGNORECASE,
)
PREFIX = re.compile(r"[^\W\d][^\W\d_]*[ _]?(?:[^\W\d][^\W\d_]*)?\s*[=:_@ -]?\s*(?=[\d.+-])")
ERROR_BAR = re.compile(r"(?<=[\d.])\s*(?:±|\+/-|\+-|\\pm|\().*$")
COMMA_DECIMAL = re.compile(r"([+-]?\d+),(\d+)((?:[eE][+-]?\d+)?)")
HP_SCALES = {"linear": 1.0, "log2": 2.0, "log10": 10.0, "ln": math.e}


def parse(text: str) -> float | None:
    """The number that a text stands for, with its unit or power; None where it is none."""
    try:
        return float(text)
    except ValueError:
        return _parse(_plain(text))


def parse_labelled(text: str) -> float | None:
    """The number of a size with letters before it, as d128, w=256 or width 64; else as `parse`."""
    value = parse(text)
    if value is None and (label := PREFIX.match(plain := _plain(text))):
        value = _parse(plain[label.end() :])
    return value


def _plain(text: str) -> str:
    text = SUPERSCRIPT.sub(r"^\1", text) if not text.isascii() else text
    text = MARKS.sub(lambda mark: "x" if mark[0] in ("\\times", "\\cdot") else _kept(mark), text).strip()
    return ERROR_BAR.sub("", text.translate(PLAIN))


def _kept(mark: re.Match[str]) -> str:
    """A `**` between digits is a power and a `*` there a product, not bold type."""
    before, after = mark.string[: mark.start()].rstrip(), mark.string[mark.end() :].lstrip()
    inside = before[-1:].isdigit() and (after[:1].isdigit() or after[:1] in "-+({")
    return mark[0] if inside and after and mark[0] in ("**", "*") else ""


def _parse(text: str) -> float | None:
    try:
        if match := POWER.fullmatch(text):
            factor, base, exponent = match.groups()
            return float(factor or 1) * math.pow(math.e if base == "e" else float(base), float(exponent))
        if match := THOUSANDS.match(text):
            text = re.sub("[, ]", "", match[0]) + text[match.end() :]
        if match := WITH_UNIT.fullmatch(text):
            return float(match[1]) * UNITS[(match[2] or "x").lower()]
    except (OverflowError, ValueError):
        return None
    return None


def number(cell: Any, labelled: bool = False) -> float | None:
    """A cell's number, NaN where blank, None where it is something else.

    Args:
        cell: of any type.
        labelled: whether letters may stand before the number, as in d128.
    """
    if cell is None or (isinstance(cell, str) and cell.strip().lower() in BLANK):
        return math.nan
    if isinstance(cell, bool | np.bool_):
        return None
    try:
        if isinstance(cell, str):
            return parse_labelled(cell) if labelled else parse(cell)
        return float(cell)
    except (TypeError, ValueError, OverflowError):
        return None


def has_decimal_commas(cells: Iterable[Any]) -> bool:
    """Whether a text such as 0,001 or 3,45 is among the cells: a comma that cannot part thousands."""
    for cell in cells:
        match = COMMA_DECIMAL.fullmatch(cell.strip()) if isinstance(cell, str) and "," in cell else None
        if match and (
            len(match[2]) != 3 or len(match[1].lstrip("+-")) > 3 or match[1].lstrip("+-")[0] == "0"
        ):
            return True
    return False


def with_points(cell: Any) -> Any:
    """A cell whose number has a decimal comma, with a point; points between its thousands go."""
    if not isinstance(cell, str) or not re.search(r"\d[.,]\d", cell):
        return cell
    if re.fullmatch(r"[+-]?[1-9]\d{0,2}(?:\.\d{3})+(?:,\d+)?", cell.strip()):
        cell = cell.replace(".", "")
    return re.sub(r"(?<=\d),(?=\d)", ".", cell)
