"""The summary of a joint fit over several axes for the terminal."""

from __future__ import annotations

import io
from itertools import islice

from rich.console import Console

from hptransfer.quantify.joint_axes.result import JointAxesFit
from hptransfer.report import joint_axes_tables
from hptransfer.report.axes_terminal import narrowed
from hptransfer.report.joint_tables import left_out
from hptransfer.report.terminal import as_text, print_table


def print_joint_axes(fit: JointAxesFit, console: Console | None = None, *, limit: int = 20) -> None:
    """Print what the fit says: answers, predictions, exponents, rules, hold-outs, optima, flags.

    Args:
        fit: the result of `quantify_joint` over several axes.
        console: where to print; the terminal by default.
        limit: variants shown.
    """
    out = console or Console()
    variants = tuple(islice(fit.variants.values(), limit))
    out.print(as_text(joint_axes_tables.headline(fit), out, "bold"))
    for line in (joint_axes_tables.extent(fit), *left_out(fit.left_out)):
        out.print(as_text(line, out))
    out.print()
    for table in joint_axes_tables.tables(fit, variants):
        print_table(narrowed(table, len(variants) > 1), out)
    lines = joint_axes_tables.flag_lines(fit)
    if lines:
        out.print(as_text("Flags", out, "bold"))
        for flag, meaning in lines.items():
            out.print(as_text(f"  {flag}: {meaning}." if meaning != flag else f"  {flag}", out))
        out.print()
    if len(fit.variants) > limit:
        out.print(as_text(f"{len(fit.variants) - limit} more variants are in the JSON.", out))


def joint_axes_text(fit: JointAxesFit, width: int = 80, *, limit: int = 20) -> str:
    """The summary as plain text, `width` characters wide."""
    buffer = io.StringIO()
    console = Console(file=buffer, width=width, color_system=None, legacy_windows=False, force_jupyter=False)
    print_joint_axes(fit, console, limit=limit)
    return buffer.getvalue()
