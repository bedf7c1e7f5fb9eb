"""A study's progress below a notebook's cell: a bar and a table, as HTML that is replaced in its place.

Jupyter, VS Code and Colab are all IPython and update a display by its id; marimo replaces a cell's output. No
widget is used, so nothing else need be installed, and a notebook that was closed shows the last state.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from html import escape
from importlib import import_module
from typing import Any

from hptransfer.study.progress import Snapshot
from hptransfer.study.progress_text import cell_text, running_stacks, summary

SECONDS = 1.0  # at least, from one drawing to the next: each is a message to a browser
IPYTHON = ("ZMQInteractiveShell", "google.colab", "DATABRICKS")  # in the shell's class where it is a notebook


def in_notebook() -> bool:
    """Whether this code runs in a notebook that shows HTML."""
    return _marimo() is not None or _ipython()


def _ipython() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and any(name in str(type(shell)) for name in IPYTHON)


def _marimo() -> Any:
    """The module marimo where one of its notebooks is running."""
    marimo = sys.modules.get("marimo")
    return marimo if marimo is not None and marimo.running_in_notebook() else None


class NotebookDisplay:
    """Where a notebook shows the progress of one study."""

    def __init__(self) -> None:
        self._write = _writer()
        self._drawn = -SECONDS

    def update(self, seen: Snapshot, last: bool = False) -> None:
        """Shows it, unless it did so a moment ago; the last state is always shown."""
        if last or time.monotonic() - self._drawn >= SECONDS:
            self._drawn = time.monotonic()
            self._write(html(seen))


def _writer() -> Callable[[str], None]:
    """What replaces the text below the cell."""
    if marimo := _marimo():
        return lambda text: marimo.output.replace(marimo.Html(text))
    show: Any = import_module("IPython.display")
    handle = show.display(show.HTML(""), display_id=True)
    return lambda text: handle.update(show.HTML(text))


def html(seen: Snapshot) -> str:
    """A bar, the counts, and finished runs and best losses by variant and size."""
    done, planned = seen.total("done"), seen.total("planned")
    spec = seen.spec
    head = "".join(f"<th>{size}</th>" for size in spec.sizes)
    rows = "".join(
        f"<tr><td>{escape(variant)}</td>"
        + "".join(f"<td>{escape(cell_text(seen.cells[variant, size]))}</td>" for size in spec.sizes)
        + "</tr>"
        for variant in spec.variants_with_decay()
    )
    now = f"<div>{escape(text)}</div>" if (text := running_stacks(seen)) else ""
    return (
        f'<div><b>{escape(spec.name)}</b> <progress value="{done}" max="{max(planned, 1)}"></progress> '
        f"{escape(summary(seen))}</div>{now}"
        f"<table><thead><tr><th>variant</th>{head}</tr></thead><tbody>{rows}</tbody></table>"
    )
