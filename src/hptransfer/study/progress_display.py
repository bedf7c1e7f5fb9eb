"""A study's progress: live on a terminal, else as plain lines."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hptransfer.study.progress import Cell, Progress
from hptransfer.study.progress_file import ProgressWriter, Snapshot
from hptransfer.study.stacks import Stack

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table


class ProgressView:
    """Shows progress; `tick` may be called at any time, `stack_closed` once a stack.

    Args:
        progress: what to show.
        console: where.
        live: the running display; None for plain lines.
        folder: of the study, for other processes to read the progress; None writes nothing.
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
            self._live.update(table(self._progress), refresh=True)

    def end(self) -> None:
        """Writes into the study's folder that the study has stopped."""
        self._writer.tick("ended")

    def stack_closed(self, stack: Stack) -> None:
        """Without a live display: one line for each variant of the stack."""
        if self._live is not None:
            return
        for variant in dict.fromkeys(run.variant for run in stack.runs):
            cell = self._progress.cells[variant, stack.width]
            where = f"at lr {_lr(cell.best_lr)}" if math.isfinite(cell.best) else ""
            text = f"width {stack.width} {variant}: {cell_text(cell)} {where}".rstrip()
            self._console.print(
                f"{text}; {summary(self._progress)}", highlight=False, markup=False, soft_wrap=True
            )

    def note(self, text: str) -> None:
        """Prints a line above a live display."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def show_progress(progress: Progress, console: Console, folder: Path | None = None) -> Iterator[ProgressView]:
    """A view of a study for as long as it runs.

    Args:
        progress: of the study.
        console: where to show it.
        folder: of the study, for other processes to read the progress; None writes nothing.
    """
    with _live(progress, console) as live:
        view = ProgressView(progress, console, live, folder)
        try:
            yield view
        finally:
            view.end()


@contextmanager
def _live(progress: Progress, console: Console) -> Iterator[Live | None]:
    if not console.is_terminal:
        console.print(
            f"study {progress.spec.name}: {summary(progress)}", highlight=False, markup=False, soft_wrap=True
        )
        yield None
        return
    from rich.live import Live

    with Live(table(progress), console=console, auto_refresh=False) as live:
        yield live


def table(progress: Progress | Snapshot) -> Table:
    """Variants by widths: finished of planned runs, best loss, how many diverged or failed."""
    from rich.table import Table

    spec = progress.spec
    shown = Table(title=spec.name, caption=summary(progress), title_justify="left", caption_justify="left")
    shown.add_column("variant")
    for width in spec.widths:
        shown.add_column(f"width {width}")
    for variant in spec.variants_with_decay():
        shown.add_row(variant, *(cell_text(progress.cells[variant, width]) for width in spec.widths))
    return shown


def cell_text(cell: Cell) -> str:
    """`7/9, best 3.893, 1 diverged`."""
    parts = [f"{cell.done}/{cell.planned}"]
    if math.isfinite(cell.best):
        parts.append(f"best {cell.best:.3f}")
    if cell.diverged:
        parts.append(f"{cell.diverged} diverged")
    if cell.failed:
        parts.append(f"{cell.failed} failed")
    return ", ".join(parts)


def summary(progress: Progress | Snapshot) -> str:
    """`33/135 runs, 2 diverged, 1:02 elapsed, about 3:10 left`."""
    parts = [f"{progress.total('done')}/{progress.total('planned')} runs"]
    parts += [f"{n} {name}" for name in ("diverged", "failed") if (n := progress.total(name))]
    if progress.elapsed is not None:
        parts.append(f"{clock(progress.elapsed)} elapsed")
    eta = progress.eta()
    if eta:
        parts.append(f"about {clock(eta)} left" + (" of this round" if progress.spec.adaptive else ""))
    return ", ".join(parts)


def running_stacks(progress: Progress | Snapshot) -> str:
    """`training: width 64, 8 runs, step 120/300; ...`, empty where nothing is being trained."""
    stacks = progress.running_stacks() if isinstance(progress, Progress) else progress.running_stacks
    parts = [f"width {f.width}, {f.runs} runs, step {f.step}/{f.steps}" for f in stacks]
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
