"""The cache of tokens: one folder a corpus, made whole or not at all, checked when it is opened."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hptransfer.errors import DataError

TokenArray = NDArray[np.uint16]
NAMES = ("train", "validation")  # of the token files
_BLOCK = 1 << 20
_BLOCKS = 64  # of a longer file, as many blocks as this are hashed, spread evenly


@dataclass(frozen=True)
class Corpus:
    """Tokens, split for training and validation.

    Attributes:
        train: token ids, memory-mapped, shape [tokens].
        validation: token ids, memory-mapped, shape [tokens].
        sha256: names the content; the same tokens from the same source have the same.
        text_bytes: of the whole text; 0 where the source is tokens.
        entropy_rate: nats per token that no model can beat in the long run, where it is known; else None.
        validation_floor: the true source's own loss on `validation`, nats per token, where it is known.
    """

    train: TokenArray
    validation: TokenArray
    sha256: str
    text_bytes: int = 0
    entropy_rate: float | None = None
    validation_floor: float | None = None


def cache_directory() -> Path:
    """Where tokens are kept: HPTRANSFER_CACHE, or hptransfer/ in the user's cache directory."""
    if explicit := os.environ.get("HPTRANSFER_CACHE"):
        return Path(explicit)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hptransfer"


def entry_of(digest: str) -> Path:
    """The folder of the corpus that a digest names."""
    return cache_directory() / digest[:24]


def cached(digest: str, make: Callable[[Path], Mapping[str, Any]]) -> Corpus:
    """The corpus that a digest names, from the cache or newly made; a damaged entry is made again.

    Args:
        digest: of everything that decides the tokens.
        make: writes `train.bin` and `validation.bin` into an empty folder and returns what else belongs to
            the corpus: fields of `Corpus` by name.

    Raises:
        DataError: the cache cannot be written, or not be read after that.
    """
    entry = entry_of(digest)
    corpus = open_entry(entry, digest)
    if corpus is None:
        _make_entry(entry, digest, make)
        corpus = open_entry(entry, digest)
    if corpus is None:
        raise DataError(f"the token cache at {entry} must be readable after it was written, but it is not")
    return corpus


def open_entry(entry: Path, digest: str) -> Corpus | None:
    """The cached corpus, or None where there is none or it is damaged."""
    try:
        meta = json.loads((entry / "meta.json").read_text())
        if meta["sha256"] != digest or meta["files"] != _fingerprints(entry):
            return None
        train, validation = (np.memmap(entry / f"{name}.bin", dtype=np.uint16, mode="r") for name in NAMES)
        known = {name: meta[name] for name in ("entropy_rate", "validation_floor") if name in meta}
        return Corpus(train, validation, digest, int(meta["text_bytes"]), **known)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def append(tokens: TokenArray, path: Path) -> None:
    """Put tokens at the end of a file, and that on the disk; numpy's `tofile` loses a full disk's error."""
    with path.open("ab") as file:
        file.write(tokens.tobytes())
        file.flush()
        os.fsync(file.fileno())


def seal(folder: Path, digest: str, known: Mapping[str, Any]) -> None:
    """Write beside an entry's token files what `open_entry` checks them by.

    Args:
        folder: of the entry.
        digest: of everything that decides the tokens.
        known: further fields of `Corpus`, by name.
    """
    meta = {"sha256": digest, "text_bytes": 0, **known, "files": _fingerprints(folder)}
    (folder / "meta.json").write_text(json.dumps(meta))


def put_in_place(folder: Path, entry: Path) -> None:
    """Move a whole entry to where readers look, over a damaged one."""
    if open_entry(entry, json.loads((folder / "meta.json").read_text())["sha256"]) is not None:
        return  # another process made the same entry first
    shutil.rmtree(entry, ignore_errors=True)
    try:
        folder.rename(entry)
    except OSError:
        if not entry.is_dir():
            raise


def unwritable(folder: Path, error: OSError) -> DataError:
    """What to tell a user whose cache cannot be written."""
    return DataError(
        f"the token cache at {folder} must be writable, but: {error.strerror or error}; "
        "HPTRANSFER_CACHE names another folder"
    )


def fingerprint(path: Path) -> str:
    """Sha256 of a file: of the whole up to 64 MiB, of its length and 64 blocks of 1 MiB beyond that."""
    size = path.stat().st_size
    if size <= _BLOCK * _BLOCKS:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    found = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        for index in range(_BLOCKS):
            file.seek((size - _BLOCK) * index // (_BLOCKS - 1))
            found.update(file.read(_BLOCK))
    return found.hexdigest()


def _make_entry(entry: Path, digest: str, make: Callable[[Path], Mapping[str, Any]]) -> None:
    """In a fresh folder that is moved into place whole, so that a reader never sees half of it."""
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=entry.parent, prefix=".making-") as made:
            folder = Path(made) / "entry"
            folder.mkdir()
            seal(folder, digest, make(folder))
            put_in_place(folder, entry)
    except OSError as error:
        raise unwritable(entry.parent, error) from error


def _fingerprints(folder: Path) -> dict[str, str]:
    return {f"{name}.bin": fingerprint(folder / f"{name}.bin") for name in NAMES}
