"""Where two codebases scale differently: exponents of the same tensor, or of the same role. No torch here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hptransfer.parametrization.audit import Audit, Row
from hptransfer.parametrization.audit_records import QUANTITIES, Quantity
from hptransfer.words import rough

CLOSE = 0.06  # of exponents; that of a measured std has an error


@dataclass(frozen=True)
class Difference:
    """A setting that two stacks scale differently: exponents of the width ratio in each."""

    what: str  # the tensor, or `every hidden` where the two stacks name it differently
    setting: str
    one: tuple[float, ...]
    other: tuple[float, ...]

    def __str__(self) -> str:
        one, other = (", ".join(f"m^{rough(e)}" for e in found) for found in (self.one, self.other))
        return f"{self.what}: {self.setting} {one} here, {other} in the other"


def difference(one: Audit, other: Audit) -> list[Difference]:
    """The differences of two stacks: by tensor where both have its name, the rest by role.

    Constants are not compared: only what width does to a setting that both record.
    """
    both = {row.tensor for row in one.rows} & {row.tensor for row in other.rows}
    pairs = [(name, _rows_of(one, name), _rows_of(other, name)) for name in sorted(both)]
    for role in sorted({row.role for row in one.rows} & {row.role for row in other.rows}):
        a, b = ([r for r in s.rows if r.role == role and r.tensor not in both] for s in (one, other))
        pairs.append((f"every {role}", a, b))
    return [d for what, a, b in pairs for q in QUANTITIES for d in _differ(what, q, a, b)]


def _rows_of(side: Audit, name: str) -> list[Row]:
    return [row for row in side.rows if row.tensor == name]


def _differ(what: str, quantity: Quantity, one: Sequence[Row], other: Sequence[Row]) -> list[Difference]:
    a, b = (sorted({r.exponents[quantity] for r in rows if quantity in r.exponents}) for rows in (one, other))
    if not a or not b or (_within(a, b) and _within(b, a)):
        return []
    found = (tuple(dict.fromkeys(round(e, 2) + 0.0 for e in side)) for side in (a, b))
    return [Difference(what, quantity, *found)]


def _within(some: Sequence[float], others: Sequence[float]) -> bool:
    return all(any(x == y or abs(x - y) <= CLOSE for y in others) for x in some)
