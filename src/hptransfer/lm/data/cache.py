"""The cache of tokens: one folder a corpus, made whole or not at all, checked when it is opened."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
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


def cached(digest: str, make: Callable[[Path], Mapping[str, Any]], resumes: bool = False) -> Corpus:
    """The corpus that a digest names, from the cache or newly made; a damaged entry is made again.

    An entry is made in a folder of its own that is moved into place whole, so that a reader never sees half
    of it. Another process that wants the same entry waits.

    Args:
        digest: of everything that decides the tokens.
        make: writes `train.bin` and `validation.bin` into a folder and returns what else belongs to the
            corpus: fields of `Corpus` by name.
        resumes: whether `make` continues with what it has left in the folder when it was killed; else the
            folder is empty.

    Raises:
        DataError: the cache cannot be written, or not be read after that.
    """
    entry = cache_directory() / digest[:24]
    corpus = _open_entry(entry, digest)
    if corpus is None:
        try:
            with _claimed(cache_directory() / f".partial-{digest[:24]}", resumes) as folder:
                if _open_entry(entry, digest) is None:  # else another process has made it
                    _seal(folder, digest, make(folder))
                    shutil.rmtree(entry, ignore_errors=True)
                    folder.rename(entry)
        except OSError as error:
            raise DataError(
                f"the token cache at {entry.parent} must be writable, but: {error.strerror or error}; "
                "HPTRANSFER_CACHE names another folder"
            ) from error
        corpus = _open_entry(entry, digest)
    if corpus is None:
        raise DataError(f"the token cache at {entry} must be readable after it was written, but it is not")
    return corpus


@contextmanager
def _claimed(folder: Path, resumes: bool) -> Iterator[Path]:
    """A folder that no other process works in; it goes at the end, but for what another may resume."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = folder.with_name(f"{folder.name}.lock")
    with path.open("w") as lock:
        with suppress(ImportError, OSError):  # without such locks two processes may do the work twice
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)  # the system lets go of it when the process ends
        if not resumes:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(exist_ok=True)
        try:
            yield folder
        finally:
            if folder.is_dir() and not (resumes and any(folder.iterdir())):
                shutil.rmtree(folder, ignore_errors=True)
            if not resumes:  # where work is resumed, one that still waits must not meet a second lock
                path.unlink(missing_ok=True)


def _open_entry(entry: Path, digest: str) -> Corpus | None:
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


def _seal(folder: Path, digest: str, known: Mapping[str, Any]) -> None:
    """Write beside an entry's token files what `_open_entry` checks them by."""
    meta = {"sha256": digest, "text_bytes": 0, **known, "files": _fingerprints(folder)}
    (folder / "meta.json").write_text(json.dumps(meta))


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


def _fingerprints(folder: Path) -> dict[str, str]:
    return {f"{name}.bin": fingerprint(folder / f"{name}.bin") for name in NAMES}
