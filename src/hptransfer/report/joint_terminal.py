"""The summary of a joint fit for the terminal."""

from __future__ import annotations

import io
from itertools import islice

from rich.console import Console
from rich.text import Text

from hptransfer.quantify.joint.result import JointSweepFit
from hptransfer.report import joint_tables
from hptransfer.report.axes_terminal import narrowed
from hptransfer.report.terminal import print_table


def print_joint(fit: JointSweepFit, console: Console | None = None, *, limit: int = 20) -> None:
    """Print what a joint fit says: answers, predictions, laws, hold-outs, optima, flags.

    Args:
        fit: the result of `quantify_joint`.
        console: where to print; the terminal by default.
        limit: variants shown.
    """
    out = console or Console()
    variants = tuple(islice(fit.variants.values(), limit))
    for text, style in ((joint_tables.headline(fit), "bold"), (joint_tables.extent(fit), "")):
        out.print(Text(text.encode(out.encoding, "replace").decode(out.encoding), style=style))
    for line in joint_tables.left_out(fit.left_out):
        out.print(Text(line.encode(out.encoding, "replace").decode(out.encoding)))
    out.print()
    for table in joint_tables.tables(fit, variants):
        print_table(narrowed(table, len(variants) > 1), out)
    lines = joint_tables.flag_lines(fit)
    if lines:
        out.print(Text("Flags", style="bold"))
        for flag, meaning in lines.items():
            out.print(Text(f"  {flag}: {meaning}." if meaning != flag else f"  {flag}"))
        out.print()
    if len(fit.variants) > limit:
        out.print(Text(f"{len(fit.variants) - limit} more variants are in the JSON."))


def joint_summary(fit: JointSweepFit, width: int = 80, *, limit: int = 20) -> str:
    """The summary as plain text, `width` characters wide."""
    buffer = io.StringIO()
    console = Console(file=buffer, width=width, color_system=None, legacy_windows=False, force_jupyter=False)
    print_joint(fit, console, limit=limit)
    return buffer.getvalue()
