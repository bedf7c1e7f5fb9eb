"""Output files, checked before the work whose result they are to hold."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from hptransfer.errors import HPTransferError


class OutputError(HPTransferError):
    """A file cannot be written where the user asked for it."""


def check_outputs(outputs: Iterable[Path | None], inputs: Iterable[Path] = ()) -> None:
    """Checks that every output can be written, and that none would overwrite another or an input.

    Raises:
        OutputError: where one cannot be.
    """
    taken = {os.path.realpath(path): "is also read" for path in inputs}
    for path in outputs:
        if path is None:
            continue
        problem = taken.get(os.path.realpath(path)) or _problem(path)
        if problem:
            raise OutputError(f"cannot write {path}: it {problem}")
        taken[os.path.realpath(path)] = "is named for two outputs"


def write_outputs(*outputs: tuple[Path | None, Callable[[Path], object]]) -> list[Path]:
    """Writes the files that were asked for, before anything is printed: a reader may close its pipe early.

    Each output is a path, None where it was not asked for, and what writes it. Returns the paths written.
    """
    written = [(path, write) for path, write in outputs if path is not None]
    for path, write in written:
        write(path)
    return [path for path, _ in written]


def _problem(path: Path) -> str | None:
    """Why a file cannot be written, or None."""
    if path.is_dir():
        return "is a directory"
    if path.exists() and not os.access(path, os.W_OK):
        return "is not writable"
    if path.exists() and not path.is_file():
        return None  # a terminal or a pipe; a file is replaced by a new one beside it
    if not path.parent.is_dir():
        return f"lies in {path.parent}, which is not a directory"
    return None if os.access(path.parent, os.W_OK) else f"lies in {path.parent}, which is not writable"
