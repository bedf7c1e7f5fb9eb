"""Files of other people: read with a limit, and written whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import stat
import unicodedata
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hptransfer.errors import HPTransferError
from hptransfer.words import rough

MAX_MIB = "HPTRANSFER_MAX_MIB"  # environment variable that raises (or lowers) every limit on a file's size
MAX_JSON_DEPTH = 100  # nested lists and objects
# Characters that move a terminal's cursor, change its state or reverse its text, and lone surrogates.
_HIDDEN = ("Cc", "Cs", "Zl", "Zp")
_REVERSING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def size_limit(default: int) -> int:
    """The most bytes that a file may have: the default, or what the environment says for all files.

    Raises:
        HPTransferError: the environment says something that is no positive number.
    """
    text = os.environ.get(MAX_MIB)
    if text is None:
        return default
    try:
        if 0 < (found := float(text)) < 2.0**40:
            return int(found * 2**20)
    except ValueError:
        pass
    raise HPTransferError(f"{MAX_MIB} must be a positive number of MiB, but got {printable(text)!r:.40}")


def read_regular(path: str | os.PathLike[str], default: int) -> bytes:
    """The content of a regular file that is not too large; a FIFO or a device is never waited for.

    Args:
        path: of the file.
        default: most bytes, where the environment does not say otherwise.

    Raises:
        OSError: it cannot be read. ValueError: it is no regular file or too large (or its name has a NUL).
    """
    limit = size_limit(default)
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise ValueError("it must be a regular file, and is a pipe, a device or a socket")
        with os.fdopen(handle, "rb", closefd=False) as file:
            content = file.read(limit + 1)
    finally:
        os.close(handle)
    if len(content) > limit:
        raise ValueError(
            f"it may have at most {rough(limit / 2**20, 4)} MiB; the environment variable "
            f"{MAX_MIB} raises that"
        )
    return content


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file so that it appears under its name only when it is complete and on the disk.

    Whatever goes wrong, a full disk or an end of the program, the old file stays as it was. What is no
    regular file, such as a terminal or a pipe, is written to directly.

    Raises:
        OSError: it cannot be written; its `filename` is the path.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.exists() and not target.is_file():
            _write_into(target, content)
        else:
            _replace(target, content)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def _replace(target: Path, content: bytes) -> None:
    draft = target.with_name(f".{uuid.uuid4().hex[:12]}.part")
    try:
        with open(draft, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with suppress(OSError):  # a new file has no old rights to keep
            os.chmod(draft, stat.S_IMODE(target.stat().st_mode))
        os.replace(draft, target)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise
    with suppress(OSError):  # not every file system can sync a folder
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _write_into(target: Path, content: bytes) -> None:
    """Into a pipe or a device; one that nobody reads is an error at once."""
    handle = os.open(target, os.O_WRONLY | os.O_NONBLOCK)
    os.set_blocking(handle, True)
    with os.fdopen(handle, "wb") as file:
        file.write(content)


def printable(text: str) -> str:
    """Text that a terminal shows as it stands: control characters and the like are written as escapes."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(c) if _is_hidden(c) else c for c in text)


def _is_hidden(char: str) -> bool:
    return unicodedata.category(char) in _HIDDEN or char in _REVERSING


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def strict_json(text: str | bytes) -> Any:
    """JSON without duplicate keys, and nested no deeper than is sound.

    Raises:
        ValueError: it is no such JSON.
    """
    try:
        found = json.loads(text, object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError("it nests too deep") from None
    _check_depth(found)
    return found


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise ValueError(f"every key must be given once, but {printable(twice)!r:.60} is given twice")
    return found


def _check_depth(found: Any) -> None:
    level = [found]
    for _ in range(MAX_JSON_DEPTH):
        level = [
            inner
            for value in level
            if isinstance(value, dict | list)
            for inner in (value.values() if isinstance(value, dict) else value)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise ValueError(f"it may nest at most {MAX_JSON_DEPTH} levels deep")
