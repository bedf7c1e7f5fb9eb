"""How `hptransfer table` prints: text, CSV or Markdown, of one rule or of the differences of two."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import typer

from hptransfer.parametrization.rule import Rule
from hptransfer.parametrization.rule_arithmetic import without_multipliers
from hptransfer.parametrization.tensor_settings import TensorSettings
from hptransfer.words import precise, rough

COLUMNS = ("tensor", "role", "shape", "init std", "mult", "lr", "wd", "eps")
CSV_HEAD = ("rule", "width", "base_width", "coordinates", "tensor", "role", "shape")
UNITS = "lr in units of eta, weight decay of lambda, eps of its value at the base; init std `ones`: a gain."
_NUMBERS = ("init_std", "multiplier", "lr", "weight_decay", "eps")
CSV_COLUMNS = (*CSV_HEAD, *_NUMBERS)
_NARROWEST = 100  # columns that a row needs; a narrower terminal wraps it rather than cutting numbers


@dataclass(frozen=True)
class Block:
    """What a rule says at one width."""

    rule: Rule  # in the coordinates shown
    width: int  # of the model
    base: int  # width at which every rule is the same
    attention: float | None  # factor on attention logits; None where the model has no attention
    rows: tuple[TensorSettings, ...]  # what every tensor gets
    # Factors on what layers read that share an embedding's tensor, by layer; empty where none does.
    tied: tuple[tuple[str, float], ...] = ()

    @property
    def head(self) -> str:
        """One line that says what is shown."""
        attention = "" if self.attention is None else f"; attention logits x {rough(self.attention, 4)}"
        return (
            f"{self.rule.name} at width {self.width} (m = {precise(self.width / self.base)}, "
            f"base {self.base}), {self.rule.coordinates} coordinates{attention}"
            + "".join(f"; input of the tied {layer} x {rough(factor, 4)}" for layer, factor in self.tied)
        )


def print_blocks(blocks: Sequence[Block], output: str) -> None:
    """Prints what one rule says at every width."""
    if output == "csv":
        _print_rows(CSV_COLUMNS, [_csv_row(block, row) for block in blocks for row in block.rows], output)
        return
    for block in blocks:
        typer.echo(f"**{block.head}**\n" if output == "markdown" else block.head)
        _print_rows(COLUMNS, [_cells(row) for row in block.rows], output)
        if output == "markdown":
            typer.echo()
    typer.echo(UNITS)


def print_differences(rules: Sequence[Rule], blocks: Sequence[Sequence[Block]], output: str) -> None:
    """Prints where two rules differ, from their blocks by width; `*` stands where all blocks agree."""
    one, other = (rule.name for rule in rules)
    columns = ("width", "tensor", "setting", one, other)
    rows = [row for a, b in zip(*blocks, strict=True) for row in _differences(a, b)]
    if not rows and output != "csv":
        typer.echo(f"{one} and {other} ask the same of every tensor at these widths")
        return
    _print_rows(columns, rows, output)
    if output != "csv":
        typer.echo(f"{rules[0].coordinates} coordinates; {UNITS}\n{_verdict(*rules)}")


def _differences(a: Block, b: Block) -> list[tuple[str, ...]]:
    found: dict[tuple[str, ...], None] = {}
    for one, other in zip(a.rows, b.rows, strict=True):
        name = re.sub(r"\.\d+\.", ".*.", one.tensor)
        for setting in _NUMBERS:
            x, y = getattr(one, setting), getattr(other, setting)
            if not math.isclose(x, y, rel_tol=1e-9) and not (math.isnan(x) and math.isnan(y)):
                found[(str(a.width), name, setting.replace("_", " "), rough(x, 4), rough(y, 4))] = None
    if a.attention is not None and b.attention is not None and not math.isclose(a.attention, b.attention):
        scales = rough(a.attention, 4), rough(b.attention, 4)
        found[(str(a.width), "attention logits", "scale", *scales)] = None
    for (layer, x), (_, y) in zip(a.tied, b.tied, strict=True):
        if not math.isclose(x, y, rel_tol=1e-9):
            found[(str(a.width), f"{layer} (tied)", "multiplier", rough(x, 4), rough(y, 4))] = None
    return list(found)


def _verdict(one: Rule, other: Rule) -> str:
    """Whether two dialects are one training."""
    a, b = (without_multipliers(rule) for rule in (one, other))
    same = all(
        math.isclose(getattr(a.roles[r], s) + shift_a, getattr(b.roles[r], s) + shift_b, abs_tol=1e-12)
        for r in a.roles
        for s, shift_a, shift_b in (("init", 0.0, 0.0), ("lr", a.lr_exponent, b.lr_exponent))
    )
    if same and a.attention == b.attention:
        return (
            "the two train alike, an abc shift apart (eps scaled along, and weight decay in the `mup` "
            "convention)"
        )
    return "the two train differently, whatever the multipliers"


def _cells(row: TensorSettings) -> tuple[str, ...]:
    numbers = (row.multiplier, row.lr, row.weight_decay, row.eps)
    init = rough(row.init_std, 4) if row.init_std else "ones"
    shape = "x".join(map(str, row.shape))
    return (row.tensor, row.role, shape, init, *(rough(number, 4) for number in numbers))


def _csv_row(block: Block, row: TensorSettings) -> tuple[str, ...]:
    head = (block.rule.name, str(block.width), str(block.base), block.rule.coordinates)
    numbers = (f"{getattr(row, name):.12g}" for name in _NUMBERS)
    return (*head, row.tensor, row.role, "x".join(map(str, row.shape)), *numbers)


def _print_rows(columns: Sequence[str], rows: Sequence[Sequence[str]], output: str) -> None:
    """A table; the first three columns are text, the others numbers."""
    if output == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([columns, *rows])
        typer.echo(text.getvalue(), nl=False)
        return
    if output == "markdown":
        rule = ["---"] * 3 + ["---:"] * (len(columns) - 3)
        typer.echo("\n".join(f"| {' | '.join(cells)} |" for cells in (columns, rule, *rows)))
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < 3 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    Console(width=max(Console().width, _NARROWEST)).print(table)
