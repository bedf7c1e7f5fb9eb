from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import hptransfer
from hptransfer.words import (
    count,
    duration,
    fixed,
    loss_text,
    percent,
    plural,
    precise,
    rough,
    scale_text,
    signed,
)

SOURCE = Path(hptransfer.__file__).parent

# Modules that format numbers by themselves, and why they may.
BY_THEMSELVES = {
    "words.py": "is the module of number formats",
    "report/number_format.py": "is the part of it that knows intervals",
    "cli/table_output.py": "CSV, to twelve digits",
    "sweep/raw_table.py": "cells as text, to all digits",
    "study/spec.py": "names of variants, which runs are found by",
    "study/trackers.py": "names of runs in a tracker, which a second export finds them by",
    "parametrization/audit.py": "a key that is never shown",
    "dynamics/plot.py": "powers of two on an axis, for matplotlib's mathtext",
    "report/palette.py": "a colour",
    "report/html_intervals.py": "coordinates of an SVG",
}


def test_a_count_has_its_noun_in_number() -> None:
    assert [plural(n, "run") for n in (0, 1, 2, 1200)] == ["0 runs", "1 run", "2 runs", "1,200 runs"]
    assert plural(2, "study", "studies") == "2 studies"
    assert count(1e6) == "1,000,000"


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.59e13, "1.59e13"), (8.7e-5, "8.7e-5"), (0.25, "0.25"), (0, "0"), (123.4, "123"), (-2e9, "-2e9"),
     (123456, "123,000"), (999_999, "1e6"), (float("inf"), "inf"), (float("nan"), "nan")],
)  # fmt: skip
def test_a_rough_number_has_no_plus_and_no_leading_zero_in_its_exponent(value: float, text: str) -> None:
    assert rough(value) == text


def test_a_number_that_is_set_has_six_digits_and_a_loss_five() -> None:
    assert [precise(x) for x in (2**-8, 2**-14, 1024, 0.05, 1.5e8)] == [
        "0.00390625", "6.10352e-5", "1,024", "0.05", "1.5e8",
    ]  # fmt: skip
    losses = (3.893149, 3.0, 0.000123456, 1234.567, 0.0, 1.5e-6, 2.5e7, float("inf"))
    assert [loss_text(x) for x in losses] == [
        "3.8931", "3.0000", "0.00012346", "1,234.6", "0", "1.5e-6", "2.5e7", "inf",
    ]  # fmt: skip


def test_a_scale_is_written_whole_or_with_a_suffix() -> None:
    written = [scale_text(n) for n in (32, 1024, 0.25, 124_439_808, 7e9, 1.5e13, 3e17)]
    assert written == ["32", "1,024", "0.25", "124.4M", "7B", "15T", "3e17"]


def test_a_share_is_a_whole_percentage_where_that_is_two_digits() -> None:
    assert [percent(x) for x in (0.95, 0.0025, 0.996, 1.234, 12.0)] == [
        "95%",
        "0.25%",
        "100%",
        "123%",
        "1,200%",
    ]
    assert percent(0.999, 4) == "99.9%"


def test_numbers_of_a_column_keep_their_decimals_and_zero_has_no_sign() -> None:
    assert [fixed(x) for x in (0.5, 1234.5, -0.001)] == ["0.50", "1,234.50", "0.00"]
    assert [signed(x) for x in (0.114, -0.31, 0.001, -0.001, 1500)] == [
        "+0.11",
        "-0.31",
        "0.00",
        "0.00",
        "+1,500.00",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.5, "0.5 s"), (40, "40 s"), (100, "1.7 min"), (5990, "100 min"), (7200, "2 h"), (864000, "10 days")],
)
def test_a_duration_has_one_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def formatted(source: str) -> Iterator[int]:
    """Lines where a number becomes text in a format of its own, but where `float(f"...")` reads it back."""
    nodes = list(ast.walk(ast.parse(source)))
    calls = [
        (node.func.id, node)
        for node in nodes
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    read_back = {id(inner) for name, call in calls if name == "float" for inner in ast.walk(call)}
    yield from (call.lineno for name, call in calls if name == "format")
    for node in nodes:
        if (
            isinstance(node, ast.FormattedValue)
            and id(node) not in read_back
            and _is_of_numbers(node.format_spec)
        ):
            yield node.lineno
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and _is_text(node.left):
            yield node.lineno


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_of_numbers(spec: ast.expr | None) -> bool:
    last = spec.values[-1] if isinstance(spec, ast.JoinedStr) and spec.values else None
    return isinstance(last, ast.Constant) and str(last.value).endswith(tuple("eEfFgGn%,"))


def test_the_check_for_formats_sees_one() -> None:
    own = ('f"{x:.3g}"', 'f"{x:,}"', 'f"{x:.{d}f}"', '"%g" % x', 'format(x, "g")')
    seen = "\n".join([*own, 'f"{x:>8} {n:02d} {x}"', 'float(f"{x:.3g}")'])
    assert sorted(formatted(seen)) == [1, 2, 3, 4, 5]


def test_every_number_that_is_shown_is_formatted_by_one_module() -> None:
    found = {
        str(path.relative_to(SOURCE)): lines
        for path in sorted(SOURCE.rglob("*.py"))
        if (lines := sorted(set(formatted(path.read_text(encoding="utf-8")))))
    }
    own = {path: lines for path, lines in found.items() if path not in BY_THEMSELVES}
    assert not own, f"format numbers by hptransfer.words, not in {own}"
    assert set(found) == set(BY_THEMSELVES), "these have no format of their own any more"
