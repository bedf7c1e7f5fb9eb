"""The bytes of a file as text: unpacked where they are compressed, in whatever encoding they are written."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hptransfer.errors import MissingExtraError, SweepError
from hptransfer.files import MAX_MIB, size_limit
from hptransfer.sweep.guards import MAX_BYTES, read_content
from hptransfer.words import rough

STDIN = "-"
SAMPLE = 100_000  # bytes from which the encoding is detected
FEW = 32  # letters beyond ASCII below which no encoding can be detected, and Windows' usual one is taken
REFUSED = {  # first bytes of files that hold no table that can be read, with the reason and the way out
    b"\x80\x02": "a pickle, which runs code when it is read",
    b"\x80\x03": "a pickle, which runs code when it is read",
    b"\x80\x04": "a pickle, which runs code when it is read",
    b"\x80\x05": "a pickle, which runs code when it is read",
    b"\x93NUMPY": "a NumPy array, without column names",
    b"\x89HDF": "an HDF5 file",
    b"\x89PNG": "an image",
    b"%PDF": "a PDF",
}


def content_of(name: str) -> bytes:
    """The bytes of a file, or of standard input where the name is `-`.

    Raises:
        SweepError: where it cannot be opened or is empty.
    """
    if name != STDIN:
        return read_content(name)
    content = sys.stdin.buffer.read(size_limit(MAX_BYTES) + 1)
    _check_size(len(content), "standard input")
    if not content.strip():
        raise SweepError("a sweep table needs at least one run, but standard input is empty")
    return content


def _check_size(size: int, name: str) -> None:
    if size > size_limit(MAX_BYTES):
        raise SweepError(
            f"{name} may have at most {rough(size_limit(MAX_BYTES) / 2**20, 4)} MiB unpacked; the "
            f"environment variable "
            f"{MAX_MIB} raises that"
        )


def shown_name(name: str) -> str:
    """A file's name for errors."""
    return "standard input" if name == STDIN else name


def unpacked(content: bytes, name: str) -> list[tuple[str, bytes]]:
    """The files within a file: itself, or what is compressed in it, each with a name that says its format.

    Raises:
        SweepError: where it is damaged.
        MissingExtraError: where zst needs pyarrow and it is not installed.
    """
    try:
        if content.startswith(b"PK\x03\x04") and not _is_workbook(content):
            return _members(content, name)
        for magic, unpack in UNPACKERS.items():
            if content.startswith(magic):
                with unpack(io.BytesIO(content)) as file:
                    inner = bytes(file.read(size_limit(MAX_BYTES) + 1))
                _check_size(len(inner), name)
                return [(_without_suffix(name), inner)]
    except (
        OSError,
        EOFError,
        zipfile.BadZipFile,
        lzma.LZMAError,
        zlib.error,
        RuntimeError,
        ValueError,
    ) as error:
        raise SweepError(f"{name} is compressed, but cannot be unpacked: {error}") from None
    return [(name, content)]


def _zstd(file: io.BytesIO) -> Any:
    try:
        import pyarrow as pa
    except ImportError:
        raise MissingExtraError("parquet", "reading a .zst file") from None
    return pa.input_stream(file, compression="zstd")


UNPACKERS: dict[bytes, Callable[[io.BytesIO], Any]] = {  # by a file's first bytes, what opens it
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
    b"\x28\xb5\x2f\xfd": _zstd,
}


def _without_suffix(name: str) -> str:
    return str(Path(name).with_suffix("")) if Path(name).suffix in (".gz", ".bz2", ".xz", ".zst") else name


def _is_workbook(content: bytes) -> bool:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return "[Content_Types].xml" in archive.namelist()


def _members(content: bytes, name: str) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = [info for info in archive.infolist() if not info.is_dir() and "__MACOSX" not in info.filename]
        if any(Path(info.filename).suffix == ".pkl" for info in files):
            raise SweepError(
                refusal(name, "a PyTorch checkpoint, which is a pickle and runs code when it is read")
            )
        _check_size(sum(info.file_size for info in files), name)
        found = [(f"{name}:{info.filename}", archive.read(info)) for info in files]
    if not found:
        raise SweepError(f"{name} is a zip archive without files")
    return found


def refusal(name: str, reason: str) -> str:
    """Why a file is not read, and what to do."""
    return (
        f"{name} is {reason}; write its table as CSV, JSON or Parquet, or pass the dataframe "
        f"to hptransfer.read"
    )


def decoded(content: bytes, name: str) -> tuple[str, str | None]:
    """A file's text, and its encoding where that is not UTF-8.

    Raises:
        SweepError: where the bytes are no text.
    """
    for magic, reason in REFUSED.items():
        if content.startswith(magic):
            raise SweepError(refusal(name, reason))
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace"), "UTF-16"
    try:
        text, encoding = content.decode("utf-8-sig"), None
    except UnicodeDecodeError as error:
        text, encoding = _detected(content, name, error.start)
    if "\0" in text:
        raise SweepError(f"{name} must be a text file, but byte {text.index(chr(0))} is 0")
    return text, encoding


def _detected(content: bytes, name: str, first: int) -> tuple[str, str]:
    from charset_normalizer import from_bytes

    begin = max(0, first - SAMPLE // 2)
    found = from_bytes(content[begin : begin + SAMPLE])
    few = sum(byte > 127 for byte in content) < FEW
    best = "cp1252" if few else getattr(found.best(), "encoding", None)
    if best is None:
        raise SweepError(f"{name} must be a text file, but its bytes are text in no known encoding")
    return content.decode(best, errors="replace"), best
