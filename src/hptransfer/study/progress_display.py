"""A study's progress: live on a terminal, else as plain lines."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from hptransfer.study.progress import Cell, Progress, Snapshot
from hptransfer.study.progress_file import ProgressWriter
from hptransfer.study.stacks import Stack

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table


class ProgressView:
    """Shows progress; `tick` may be called at any time, `stack_closed` once a stack.

    Without a live display it prints plain lines; without a folder it writes nothing for other processes.
    """

    def __init__(
        self, progress: Progress, console: Console, live: Live | None, folder: Path | None = None
    ) -> None:
        self._progress = progress
        self._console = console
        self._live = live
        self._writer = ProgressWriter(progress, folder)

    def tick(self) -> None:
        """Draws what has changed, and writes it into the study's folder for other processes."""
        self._writer.tick()
        if self._live is not None:
            self._live.update(table(self._progress.snapshot()), refresh=True)

    def end(self) -> None:
        """Writes into the study's folder that the study has stopped."""
        self._writer.tick("ended")

    def stack_closed(self, stack: Stack) -> None:
        """Without a live display: one line for each variant of the stack."""
        if self._live is not None:
            return
        seen = self._progress.snapshot()
        for variant in dict.fromkeys(run.variant for run in stack.runs):
            cell = seen.cells[variant, stack.width]
            where = f" at lr {_lr(cell.best_lr)}" if math.isfinite(cell.best) else ""
            self.note(f"width {stack.width} {variant}: {cell_text(cell)}{where}; {summary(seen)}")

    def note(self, text: str) -> None:
        """Prints a line, above a live display where there is one."""
        print_line(self._console, text)


@contextmanager
def show_progress(progress: Progress, console: Console, folder: Path | None = None) -> Iterator[ProgressView]:
    """A view of a study for as long as it runs; `folder` is where other processes read the progress."""
    live = None
    seen = progress.snapshot()
    if console.is_terminal:
        from rich.live import Live

        live = Live(table(seen), console=console, auto_refresh=False)
    else:
        print_line(console, f"study {progress.spec.name}: {summary(seen)}")
    with live or nullcontext():
        view = ProgressView(progress, console, live, folder)
        try:
            yield view
        finally:
            view.end()


def print_line(console: Console, text: str) -> None:
    """Prints a text as it is, on one line however long."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def table(seen: Snapshot) -> Table:
    """Variants by widths: finished of planned runs, best loss, how many diverged or failed."""
    from rich.table import Table

    spec = seen.spec
    shown = Table(title=spec.name, caption=summary(seen), title_justify="left", caption_justify="left")
    shown.add_column("variant")
    for width in spec.widths:
        shown.add_column(f"width {width}")
    for variant in spec.variants_with_decay():
        shown.add_row(variant, *(cell_text(seen.cells[variant, width]) for width in spec.widths))
    return shown


def cell_text(cell: Cell) -> str:
    """`7/9, best 3.893, 1 diverged`."""
    parts = [f"{cell.done}/{cell.planned}"]
    if math.isfinite(cell.best):
        parts.append(f"best {cell.best:.3f}")
    parts += [f"{n} {name}" for name in ("diverged", "failed") if (n := getattr(cell, name))]
    return ", ".join(parts)


def summary(seen: Snapshot) -> str:
    """`33/135 runs, 2 diverged, 1:02 elapsed, about 3:10 left`."""
    parts = [f"{seen.total('done')}/{seen.total('planned')} runs"]
    parts += [f"{n} {name}" for name in ("diverged", "failed") if (n := seen.total(name))]
    if seen.elapsed is not None:
        parts.append(f"{clock(seen.elapsed)} elapsed")
    if seen.left:
        parts.append(f"about {clock(seen.left)} left" + (" of this round" if seen.spec.adaptive else ""))
    return ", ".join(parts)


def running_stacks(seen: Snapshot) -> str:
    """`training: width 64, 8 runs, step 120/300; ...`, empty where nothing is being trained."""
    parts = [f"width {f.width}, {f.runs} runs, step {f.step}/{f.steps}" for f in seen.running_stacks]
    return f"training: {'; '.join(parts)}" if parts else ""


def clock(seconds: float) -> str:
    """`0:07`, `12:30`, `3:05:00`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def _lr(lr: float) -> str:
    """`2^-6` where it is a power of two, else a decimal."""
    exponent = math.log2(lr)
    return f"2^{exponent:.0f}" if exponent.is_integer() else f"{lr:.3g}"
