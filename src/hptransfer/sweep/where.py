"""Row filters such as `epoch == 5 and variant in [sp, mup]`: parsed here, never evaluated as Python."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hptransfer.errors import SweepError
from hptransfer.sweep.raw_table import RawColumn, RawTable, find, floats, shown, texts
from hptransfer.words import plural

Mask = NDArray[np.bool_]

COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
TOKEN = re.compile(
    r"""\s*(?:(?P<quoted>'[^']*'|"[^"]*"|`[^`]*`)|(?P<sign>==|!=|<=|>=|<|>|[()\[\],])|(?P<word>[^\s()\[\],=!<>'"`]+))"""
)
DEEPEST = 50  # nested parentheses


def where(table: RawTable, expression: str) -> RawTable:
    """The rows of a table for which an expression holds.

    The expression is made of comparisons `column op value` with op one of == != < <= > >=, or
    `column in [value, value]`, joined by `and`, `or` and parentheses (`and` binds tighter). Names and values
    with spaces are quoted. A number compares as a number, anything else as text; a blank cell satisfies
    only `!=`.

    Raises:
        SweepError: where the expression cannot be read, names no column, or leaves no row.
    """
    mask = _Parser(expression, table).parse()
    if not mask.any():
        raise SweepError(f"where leaves none of the {plural(len(table), 'row')}: {shown(expression, 80)}")
    return table.keep(mask)


@dataclass(frozen=True)
class _Token:
    text: str
    kind: str  # quoted, sign, word, end


class _Parser:
    """Recursive descent over the tokens of one expression; every rule returns the rows for which it holds."""

    def __init__(self, expression: str, table: RawTable) -> None:
        self.expression = expression
        self.table = table
        self.tokens = self._tokens()
        self.next = 0
        self.depth = 0

    def _tokens(self) -> list[_Token]:
        tokens, position, text = [], 0, self.expression.rstrip()
        while position < len(text):
            match = TOKEN.match(text, position)
            if match is None:
                raise self._error(f"cannot read {shown(text[position:].strip(), 20)}")
            tokens.append(_Token(match[match.lastgroup or 0], match.lastgroup or ""))
            position = match.end()
        return [*tokens, _Token("the end", "end")]

    def parse(self) -> Mask:
        mask = self._either()
        if self.tokens[self.next].kind != "end":
            raise self._error(f"expected `and` or `or` before {shown(self.tokens[self.next].text)}")
        return mask

    def _either(self) -> Mask:
        mask = self._both()
        while self._accept("or"):
            mask = mask | self._both()
        return mask

    def _both(self) -> Mask:
        mask = self._single()
        while self._accept("and"):
            mask = mask & self._single()
        return mask

    def _single(self) -> Mask:
        if not self._accept("("):
            return self._comparison()
        self.depth += 1
        if self.depth > DEEPEST:
            raise self._error(f"parentheses nest deeper than {DEEPEST}")
        mask = self._either()
        self._expect(")")
        self.depth -= 1
        return mask

    def _comparison(self) -> Mask:
        column = find(self.table, _unquoted(self._value("a column")), "where")
        cells = self.table.columns[column]
        if self._accept("in"):
            masks = [_holds(cells, "==", value) for value in self._list()]
            return np.asarray(np.stack(masks).any(axis=0))
        sign = self._advance()
        if sign.text not in COMPARISONS or sign.kind != "sign":
            raise self._error(f"expected one of {' '.join(COMPARISONS)} in after {shown(column)}")
        value = self._value("a value")
        if sign.text not in ("==", "!=") and _as_number(value) is None:
            raise self._error(f"{sign.text} needs a number, but got {shown(value.text)}")
        return _holds(cells, sign.text, value)

    def _list(self) -> list[_Token]:
        close = ")" if self._accept("(") else "]"
        if close == "]":
            self._expect("[")
        values = [self._value("a value")]
        while self._accept(","):
            values.append(self._value("a value"))
        self._expect(close)
        return values

    def _value(self, what: str) -> _Token:
        token = self._advance()
        if token.kind not in ("word", "quoted"):
            raise self._error(f"expected {what}, but found {shown(token.text)}")
        return token

    def _advance(self) -> _Token:
        token = self.tokens[self.next]
        self.next += token.kind != "end"
        return token

    def _accept(self, text: str) -> bool:
        token = self.tokens[self.next]
        if token.kind == "quoted" or token.text != text:
            return False
        self.next += 1
        return True

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            raise self._error(f"expected {text}, but found {shown(self.tokens[self.next].text)}")

    def _error(self, problem: str) -> SweepError:
        return SweepError(
            f'where must read like "epoch == 5 and variant in [sp, mup]", but {problem} in '
            f"{shown(self.expression, 80)}"
        )


def _unquoted(token: _Token) -> str:
    return token.text[1:-1] if token.kind == "quoted" else token.text


def _as_number(token: _Token) -> float | None:
    try:
        return float(token.text) if token.kind == "word" else None
    except ValueError:
        return None


def _holds(cells: RawColumn, sign: str, token: _Token) -> Mask:
    number = _as_number(token)
    if number is None:
        matches = COMPARISONS[sign](np.array(texts(cells), dtype=object), _unquoted(token))
    else:
        with np.errstate(invalid="ignore"):
            matches = COMPARISONS[sign](floats(cells)[0], number)
    return np.asarray(matches, dtype=np.bool_)
