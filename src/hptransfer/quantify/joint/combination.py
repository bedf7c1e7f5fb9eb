"""Combinations of hyperparameters that a user names: products and powers, `batch_size/(lr*wd*tokens)`."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hptransfer.errors import QuantifyError
from hptransfer.sweep.names import LEARNING_RATES, OTHER_HPS, joined, rank
from hptransfer.sweep.table import FloatArray, SweepTable
from hptransfer.words import precise, scale_text

LONGEST = 300  # characters
MOST_EXPONENT = 20.0  # of a name


@dataclass(frozen=True)
class Combination:
    """A factor times a product of powers of columns.

    Attributes:
        text: as the user wrote it.
        powers: exponent of each column, by its name in the table.
        factor: what the product is multiplied by.
    """

    text: str
    powers: Mapping[str, float]
    factor: float = 1.0


def parse_combination(text: str, valid: Sequence[str]) -> Combination:
    """A combination out of names, numbers, `*`, `/`, `**` (or `^`), `sqrt()` and parentheses; nothing is run.

    Args:
        text: of the user.
        valid: names of columns; a usual short name, `wd`, or an unambiguous beginning stands for one.

    Raises:
        QuantifyError: it is anything else.
    """
    try:
        if len(text) > LONGEST:
            raise ValueError("it is too long")
        tree = ast.parse(text.strip().replace("^", "**"), mode="eval")
        log_factor, found = _product(tree.body)
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        plain = isinstance(error, ValueError) and not isinstance(error, SyntaxError)
        raise QuantifyError(
            f"a combination must be a product of powers of columns such as lr/sqrt(batch_size), but got "
            f"{text[:80]!r}: {error if plain else 'it cannot be read'}"
        ) from None
    powers: dict[str, float] = {}
    for name, power in found.items():
        column = _column(name, valid, text)
        powers[column] = powers.get(column, 0.0) + power
    powers = {name: power for name, power in powers.items() if power}
    if any(abs(power) > MOST_EXPONENT for power in powers.values()):
        raise QuantifyError(
            f"exponents of a combination must be {precise(MOST_EXPONENT)} or less, but got {text!r}"
        )
    return Combination(text.strip(), powers, math.exp(log_factor))


def _product(node: ast.expr) -> tuple[float, dict[str, float]]:
    """Log factor and the exponents of the names in a product."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div):
        sign = 1.0 if isinstance(node.op, ast.Mult) else -1.0
        left, right = _product(node.left), _product(node.right)
        return left[0] + sign * right[0], _sum(left[1], _times(right[1], sign))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        log_factor, powers = _product(node.left)
        exponent = _number(node.right)
        return log_factor * exponent, _times(powers, exponent)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "sqrt":
        if len(node.args) != 1 or node.keywords:
            raise ValueError("sqrt takes one product")
        log_factor, powers = _product(node.args[0])
        return 0.5 * log_factor, _times(powers, 0.5)
    if isinstance(node, ast.Constant):
        value = _number(node)
        if value <= 0:
            raise ValueError("its numbers must be positive")
        return math.log(value), {}
    return 0.0, {_name(node): 1.0}


def _number(node: ast.expr) -> float:
    """A number, negative or a fraction perhaps, as in `lr**-0.5` and `lr**(1/2)`."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _number(node.operand)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        below = _number(node.right)
        if below == 0:
            raise ValueError("it divides by zero")
        return _number(node.left) / below
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and math.isfinite(node.value):
        return float(node.value)
    raise ValueError("an exponent must be a number")


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value)}.{node.attr}"
    raise ValueError("only *, /, ** and sqrt() join its columns")


def _sum(a: Mapping[str, float], b: Mapping[str, float]) -> dict[str, float]:
    return {name: a.get(name, 0.0) + b.get(name, 0.0) for name in dict.fromkeys((*a, *b))}


def _times(powers: Mapping[str, float], factor: float) -> dict[str, float]:
    return {name: power * factor for name, power in powers.items()}


def _column(name: str, valid: Sequence[str], text: str) -> str:
    """The column that a name stands for: itself, one of a like name, or the only one that begins so."""
    if name in valid:
        return name
    line = _line(name)
    like = [column for column in valid if joined(column) == joined(name)]
    kin = [column for column in valid if line is not None and _line(column) == line]
    begun = [column for column in valid if joined(column).startswith(joined(name))]
    for fits in (like, kin, begun):
        if len(fits) == 1:
            return fits[0]
    raise QuantifyError(
        f"a combination must be of columns of the table, but {text!r} has {name!r}; valid: {', '.join(valid)}"
    )


def _line(name: str) -> int | None:
    """Which of the usual kinds of hyperparameter a name is of: learning rate, weight decay, batch size."""
    place = rank(name, (" ".join(LEARNING_RATES), *OTHER_HPS[:2]))
    return None if place is None else place[0]


def column_offset(
    sweep: SweepTable, variant: str, scales: FloatArray, combination: Combination, hps: Sequence[str]
) -> FloatArray:
    """log2 of what columns that are no hyperparameters add to a combination at each scale, [K].

    Raises:
        QuantifyError: such a column differs between runs of one scale, or is not positive.
    """
    out = np.full(len(scales), np.log2(combination.factor))
    rows = sweep.variant == variant
    for name, power in combination.powers.items():
        if name in hps:
            continue
        values = sweep.scale if name == sweep.columns.scale else sweep.extra[name]
        for k, scale in enumerate(scales):
            found = np.unique(values[rows & (sweep.scale == scale)])
            if len(found) != 1 or not found[0] > 0 or not np.isfinite(found[0]):
                raise QuantifyError(
                    f"{name} in {combination.text!r} must have one positive value at every "
                    f"{sweep.columns.scale}, since it is not fitted, but at {scale_text(scale)} it has "
                    f"{', '.join(precise(v) for v in found[:4])}{', ...' if len(found) > 4 else ''}"
                )
            out[k] += power * np.log2(found[0])
    return out
