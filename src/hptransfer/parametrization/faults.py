"""What `verify` finds wrong, and how it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hptransfer.words import plural, precise

SHOWN = 20  # rows of an error's table


@dataclass(frozen=True)
class Fault:
    """One thing that is not as the rule asks.

    Attributes:
        tensor: name of the tensor or module.
        what: lr, weight_decay, eps, optimizer, multiplier, attention scale, missing, duplicate, unknown.
        wanted: by the rule, scheduled where it is an LR.
        found: in the live optimizer or model.
    """

    tensor: str
    what: str
    wanted: str
    found: str


def fault_table(faults: Sequence[Fault], rule: str, ratio: float) -> str:
    """The faults as a table, to be an error's text."""
    are = "is" if len(faults) == 1 else "are"
    head = f"{plural(len(faults), 'setting')} {are} not what {rule} asks at m = {precise(ratio)}"
    rows = [("tensor", "what", "wanted", "found")]
    rows += [(f.tensor, f.what, f.wanted, f.found) for f in faults[:SHOWN]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    more = [f"... and {len(faults) - SHOWN} more"] if len(faults) > SHOWN else []
    return "\n".join([head, *lines, *more])
