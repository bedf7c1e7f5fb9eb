"""What a user sees when a command cannot do its work: one line, and an exit code."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import NoReturn, ParamSpec

import typer

from hptransfer.errors import HPTransferError
from hptransfer.files import printable

P = ParamSpec("P")

WRONG = 2  # exit code of a user's error, as for wrong usage
SOME_FAILED = 3  # the command did its work, but runs failed, or a study of several cannot be read
INTERRUPTED = 130  # 128 + SIGINT
CLOSED = 141  # 128 + SIGPIPE: the reader of our output has left


def handle_errors(command: Callable[P, None]) -> Callable[P, None]:
    """A command whose user errors end it with one line on stderr and exit code 2, without a traceback."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
            sys.stdout.flush()
        except HPTransferError as error:
            _end(f"error: {error}", WRONG)
        except KeyboardInterrupt as error:
            _end(str(error) or "interrupted", INTERRUPTED)
        except (BrokenPipeError, SystemExit):  # rich ends the program where its output is closed
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the exit flushes into it
            raise typer.Exit(CLOSED) from None
        except OSError as error:
            place = f": {error.filename}" if error.filename else ""
            _end(f"error: {error.strerror or error}{place}", WRONG)

    return run


def _end(text: str, code: int) -> NoReturn:
    typer.echo(printable(" ".join(text.split())), err=True)
    raise typer.Exit(code) from None
