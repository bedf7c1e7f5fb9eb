"""A study's progress: live on a terminal and in a notebook, else as plain lines."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from hptransfer.study.notebook_display import NotebookDisplay, in_notebook
from hptransfer.study.progress import Progress, Snapshot
from hptransfer.study.progress_file import ProgressWriter
from hptransfer.study.progress_text import cell_text, lr_text, running_stacks, summary
from hptransfer.study.stacks import Stack

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.table import Table


FIRST, MOST = 5.0, 60.0  # seconds without a plain line until there is one; doubled, and at most


class ProgressView:
    """Shows progress; `tick` may be called at any time, `stack_closed` once a stack.

    Without a live display it prints plain lines; without a folder it writes nothing for other processes.
    """

    def __init__(
        self,
        progress: Progress,
        console: Console,
        live: Live | NotebookDisplay | None,
        folder: Path | None = None,
    ) -> None:
        self._progress = progress
        self._console = console
        self._live = live
        self._writer = ProgressWriter(progress, folder)
        self._next, self._pause = progress.elapsed() + FIRST, FIRST  # when a plain line is due, and then

    def tick(self) -> None:
        """Draws what has changed, and writes it into the study's folder for other processes."""
        self._writer.tick()
        if isinstance(self._live, NotebookDisplay):
            self._live.update(self._progress.snapshot())
        elif self._live is not None:
            self._live.update(_drawn(self._progress.snapshot()), refresh=True)
        elif self._progress.elapsed() >= self._next:
            self._pause = min(2 * self._pause, MOST)
            self._next = self._progress.elapsed() + self._pause
            seen = self._progress.snapshot()
            parts = (f"study {seen.spec.name}: {summary(seen)}", running_stacks(seen))
            self.note("; ".join(part for part in parts if part))

    def end(self) -> None:
        """Shows the last state, and writes into the study's folder that the study has stopped."""
        self._writer.tick("ended")
        if isinstance(self._live, NotebookDisplay):
            self._live.update(self._progress.snapshot(), last=True)

    def stack_closed(self, stack: Stack) -> None:
        """Without a live display: one line for each variant of the stack."""
        if self._live is not None:
            return
        seen = self._progress.snapshot()
        self._next = self._progress.elapsed() + self._pause
        for variant in dict.fromkeys(run.variant for run in stack.runs):
            cell = seen.cells[variant, stack.size]
            where = f" at lr {lr_text(cell.best_lr)}" if math.isfinite(cell.best) else ""
            self.note(f"{stack.size} {variant}: {cell_text(cell)}{where}; {summary(seen)}")

    def note(self, text: str) -> None:
        """Prints a line, above a live display where there is one."""
        print_line(self._console, text)


@contextmanager
def show_progress(progress: Progress, console: Console, folder: Path | None = None) -> Iterator[ProgressView]:
    """A view of a study for as long as it runs; `folder` is where other processes read the progress."""
    live: Live | NotebookDisplay | None = None
    seen = progress.snapshot()
    if console.is_terminal:
        from rich.live import Live

        live = Live(_drawn(seen), console=console, auto_refresh=False)
    elif console.file is sys.stdout and in_notebook():
        live = NotebookDisplay()
    else:
        print_line(console, f"study {progress.spec.name}: {summary(seen)}")
    with nullcontext() if live is None or isinstance(live, NotebookDisplay) else live:
        view = ProgressView(progress, console, live, folder)
        try:
            yield view
        finally:
            view.end()


def print_line(console: Console, text: str) -> None:
    """Prints a text as it is, on one line however long."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _drawn(seen: Snapshot) -> RenderableType:
    """The table, and below it what is being trained."""
    from rich.console import Group
    from rich.text import Text

    return Group(table(seen), Text(running_stacks(seen)))


def table(seen: Snapshot) -> Table:
    """Variants by widths, or sizes by variants: finished of planned runs, best loss, diverged, failed."""
    from rich.table import Table

    spec = seen.spec
    shown = Table(title=spec.name, caption=summary(seen), title_justify="left", caption_justify="left")
    if spec.axes:
        for head in ("size", *spec.variants_with_decay()):
            shown.add_column(head)
        for size in spec.sizes:
            cells = (seen.cells[variant, size] for variant in spec.variants_with_decay())
            shown.add_row(str(size), *map(cell_text, cells))
        return shown
    shown.add_column("variant")
    for size in spec.sizes:
        shown.add_column(str(size))
    for variant in spec.variants_with_decay():
        shown.add_row(variant, *(cell_text(seen.cells[variant, size]) for size in spec.sizes))
    return shown
