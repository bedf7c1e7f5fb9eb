"""The commands of `hptransfer`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from hptransfer.cli.audit import audit
from hptransfer.cli.coord_check import coord_check
from hptransfer.cli.errors import handle_errors
from hptransfer.cli.example import example
from hptransfer.cli.fit import fit
from hptransfer.cli.plain_help import PlainCommand
from hptransfer.cli.plan import plan
from hptransfer.cli.runs import app as runs_app
from hptransfer.cli.schema import schema
from hptransfer.cli.serve import serve
from hptransfer.cli.study import demo, report, run
from hptransfer.cli.table import table
from hptransfer.cli.watch import watch
from hptransfer.version import __version__

app = typer.Typer(
    name="hptransfer",
    help="Measure whether a learning rate tuned on small models transfers to large ones.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
for command in (example, demo, plan, run, watch, serve, fit, report, table, coord_check, audit, schema):
    app.command(name=command.__name__.replace("_", "-"), cls=PlainCommand)(handle_errors(command))
app.add_typer(runs_app, name="runs")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hptransfer {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line, on `sys.argv` unless arguments are given, and exits with its code."""
    app(args=None if arguments is None else list(arguments), prog_name="hptransfer")
