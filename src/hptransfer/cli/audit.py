"""`hptransfer audit`: which rule any training stack follows between two sizes, and what departs from it."""

from __future__ import annotations

import json as json_module
import math
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, cast, get_args

import typer

from hptransfer.cli.options import argument, option
from hptransfer.cli.outputs import check_outputs, write_outputs
from hptransfer.cli.text_table import print_table
from hptransfer.errors import RuleError, one_of
from hptransfer.files import write_whole
from hptransfer.parametrization.audit import Audit
from hptransfer.parametrization.audit import audit as audit_records
from hptransfer.parametrization.audit_difference import Difference, difference
from hptransfer.parametrization.audit_records import QUANTITIES, Quantity
from hptransfer.parametrization.optimizers import DECAY_KINDS, DecayKind
from hptransfer.parametrization.tensor_settings import EpsRule
from hptransfer.words import plural, precise

DEPARTS = 1  # exit code where a tensor departs from the rule, or two stacks differ


def audit(
    small: Annotated[Path, argument("SMALL", "Record of the small model: JSON, see the page on auditing.")],
    large: Annotated[Path, argument("LARGE", "Record of a larger model of the same stack.")],
    rule: Annotated[
        str | None, option("NAME", "Rule it means to follow (or a YAML file).  [default: the nearest]")
    ] = None,
    decay: Annotated[
        str | None, option("NAME", "Its weight decay: coupled, mup or independent.  [default: the nearest]")
    ] = None,
    eps: Annotated[
        str | None, option("NAME", "Its eps: rule, fixed or scaled.  [default: the nearest]")
    ] = None,
    against: Annotated[
        tuple[Path, Path] | None,
        option("SMALL LARGE", "Records of another stack at the same two sizes: print where the two differ."),
    ] = None,
    json: Annotated[Path | None, option("OUT", "Write what was found as JSON.")] = None,
) -> None:
    """Find the rule that a training stack follows.

    It is read from records of its tensors at two sizes.

    It prints the exponent of every tensor's LR, weight decay, eps and initial std, the rule that is nearest,
    and what departs from it. Exit code 0: nothing departs; 1: something does; 2: bad input.

    Examples: hptransfer audit small.json large.json;
    hptransfer audit small.json large.json --rule mup;
    hptransfer audit small.json large.json --against other_small.json other_large.json
    """
    check_outputs([json], [small, large, *(against or ())])
    kind = cast(DecayKind | None, decay and one_of(decay, DECAY_KINDS, "--decay", RuleError))
    eps_rule = cast(EpsRule | None, eps and one_of(eps, get_args(EpsRule), "--eps", RuleError))
    found = audit_records(small, large, rule=rule, decay=kind, eps_rule=eps_rule)
    other = None if against is None else audit_records(*against, rule=rule, decay=kind, eps_rule=eps_rule)
    differences = [] if other is None else difference(found, other)
    written = write_outputs((json, lambda path: write_whole(path, _json(found, differences))))
    _print(found)
    if other is not None:
        _print_differences(found, other, differences)
    for path in written:
        typer.echo(f"wrote {path}")
    if differences or not found.passed:
        raise typer.Exit(DEPARTS)


def _print(found: Audit) -> None:
    growth = [f"width x {precise(found.width_ratio)}"] + [f"depth x {precise(found.depth_ratio)}"] * (
        found.depth_ratio != 1
    )
    of = "m, the width ratio" if found.width_ratio != 1 else "the depth ratio"
    typer.echo(f"{', '.join(growth)}; exponents of {of}:\n")
    shown = [q for q in QUANTITIES if any(q in row.exponents for row in found.rows)]
    rows = [
        (f"{row.tensor}", row.role + "?" * row.guessed, *(_exponent(row.exponents, q) for q in shown))
        for row in found.rows
    ]
    print_table(("tensor", "role", *shown), rows, text_columns=2)
    typer.echo(f"\nnearest rule: {found.rule} ({found.reading})")
    if found.same:
        words = "fits as well" if found.passed else "fits without departures"
        typer.echo(f"{words}: {', '.join(found.same)}")
    for note in found.notes:
        typer.echo(f"note: {note}")
    if found.passed:
        typer.echo("nothing departs from it")
    else:
        typer.echo(f"\n{plural(len(found.departures), 'departure')} from {found.rule}:")
        for departure in found.departures:
            typer.echo(f"  {departure}")


def _print_differences(one: Audit, other: Audit, differences: list[Difference]) -> None:
    typer.echo(
        f"\nthe other stack: {other.rule} ({other.reading}), {plural(len(other.departures), 'departure')}"
    )
    for departure in other.departures:
        typer.echo(f"  {departure}")
    if not differences:
        typer.echo("the two stacks scale alike" + " (constants not compared)" * (one.rule == other.rule))
        return
    typer.echo(f"{plural(len(differences), 'difference')} between the two stacks, exponents of m:")
    for found in differences:
        typer.echo(f"  {found}")


def _exponent(exponents: dict[Quantity, float] | Any, quantity: Quantity) -> str:
    if quantity not in exponents:
        return "-"
    value = exponents[quantity]
    return "0 at one size" if not math.isfinite(value) else precise(round(value, 2) + 0.0)


def _json(found: Audit, differences: list[Difference]) -> bytes:
    data = asdict(found) | {"passed": found.passed, "differences": [asdict(d) for d in differences]}
    return json_module.dumps(_finite(data), indent=1).encode()


def _finite(value: Any) -> Any:
    """The same with None for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
