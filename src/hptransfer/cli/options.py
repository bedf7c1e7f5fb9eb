"""How options and arguments of commands are declared."""

from __future__ import annotations

from typing import Any

import typer


def option(metavar: str, text: str, *flags: str, **limits: Any) -> Any:
    """An option that shows this placeholder and help; named after its parameter, unless flags are given."""
    return typer.Option(*flags, metavar=metavar, help=text, **limits)


def argument(metavar: str, text: str) -> Any:
    """A positional argument that shows this placeholder and help."""
    return typer.Argument(metavar=metavar, help=text)
