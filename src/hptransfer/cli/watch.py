"""`hptransfer watch`: a study's progress, from a second terminal."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console, Group
from rich.text import Text

from hptransfer.cli.options import argument, option

if TYPE_CHECKING:
    from rich.console import RenderableType

    from hptransfer.study.progress import Snapshot
    from hptransfer.study.progress_file import Watcher
    from hptransfer.study.scale import Size

Folder = Annotated[Path, argument("DIR", "Folder of a study, such as runs/demo.")]
ENDS = {
    "ended": "The study has stopped; if runs are missing, the same `hptransfer run` command resumes it.",
    "not running": "The study is not running; `hptransfer run` resumes it.",
}


def watch(
    folder: Folder,
    once: Annotated[bool, typer.Option("--once", help="Show the progress once, and end.")] = False,
    every: Annotated[float, option("S", "Seconds between two updates.", min=0.1)] = 1.0,
) -> None:
    """Show a study's progress from a second terminal.

    It ends with the study. It reads the study's folder and writes nothing. Where the output is not a
    terminal, it prints a line whenever something has changed.

    Example: hptransfer watch runs/demo
    """
    from hptransfer.study.progress_file import Watcher

    watcher, console = Watcher(folder), Console()
    if console.is_terminal and not once:
        last = _live(watcher, console, every)
    else:
        last = _lines(watcher, console, every, once)
    if last.state != "running":
        typer.echo(ENDS[last.state])


def _live(watcher: Watcher, console: Console, every: float) -> Snapshot:
    from rich.live import Live

    seen = watcher.read()
    with Live(_drawn(seen), console=console, auto_refresh=False) as live:
        while seen.state == "running":
            time.sleep(every)
            seen = watcher.read()
            live.update(_drawn(seen), refresh=True)
    return seen


def _lines(watcher: Watcher, console: Console, every: float, once: bool) -> Snapshot:
    from hptransfer.study.progress_display import print_line
    from hptransfer.study.progress_text import cell_text, running_stacks, summary

    told: dict[tuple[str, Size], str] = {}
    while True:
        seen = watcher.read()
        changed = {key: cell_text(cell) for key, cell in seen.cells.items()}
        for (variant, size), text in changed.items():
            if told.get((variant, size)) != text:
                print_line(console, f"{size} {variant}: {text}")
        if changed != told or once:
            rest = running_stacks(seen)
            print_line(console, f"{seen.spec.name}: {summary(seen)}" + (f"; {rest}" if rest else ""))
        told = changed
        if once or seen.state != "running":
            return seen
        time.sleep(every)


def _drawn(seen: Snapshot) -> RenderableType:
    from hptransfer.study.progress_display import table
    from hptransfer.study.progress_text import running_stacks

    return Group(table(seen), Text(running_stacks(seen)))
