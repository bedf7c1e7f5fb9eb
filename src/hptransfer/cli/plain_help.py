"""Help as command lines usually have it: `fit [OPTIONS] SOURCE...`, without the types of Python."""

from __future__ import annotations

import re
from typing import Any

from typer.core import TyperCommand


class PlainCommand(TyperCommand):
    """A command whose arguments stand in its help by their names alone, whatever typer's version adds."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for param in self.params:
            if param.param_type_name == "argument":
                vars(param)["display_type_rich"] = lambda ctx: ""  # noqa: ARG005  # typer's `<list[str]>`

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The words after the command's name: `DIR...`, not typer's `{DIR...}...`."""
        pieces = super().collect_usage_pieces(ctx)
        return [re.sub(r"^\{(.*?)(\.\.\.)?\}(\.\.\.)?$", r"\1\2", piece) for piece in pieces]
