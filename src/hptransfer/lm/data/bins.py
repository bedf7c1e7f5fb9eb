"""Token files as nanoGPT and llm.c write them: 16-bit tokens, with or without llm.c's header."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np

from hptransfer.errors import DataError
from hptransfer.lm.data.cache import Corpus, TokenArray, cache_directory, fingerprint
from hptransfer.lm.data.text import matching
from hptransfer.runs.config import DataConfig, ModelConfig

MAGIC, HEADER = 20240520, 256  # llm.c: 256 32-bit integers, of which the third is the number of tokens
_CHUNK = 1 << 24


def bin_corpus(data: DataConfig, model: ModelConfig) -> Corpus:
    """The tokens of `files`, read where they lie; several files follow each other by path, joined in memory.

    Validation tokens are those of `validation_files`, or else the end of the training tokens.

    Raises:
        DataError: a file that is no token file, or a token beyond the vocabulary.
    """
    assert data.files is not None  # the config sees to it
    paths = matching(data.files)
    held_paths = matching(data.validation_files) if data.validation_files else []
    marks = [_checked(path, model.vocab) for path in paths + held_paths]
    train, held = _joined(paths), _joined(held_paths)
    if not held_paths:
        cut = len(train) - round(len(train) * data.validation_fraction)
        train, held = train[:cut], train[cut:]
    digest = hashlib.sha256(json.dumps([data.validation_fraction, len(paths), marks]).encode()).hexdigest()
    return Corpus(train, held, digest)


def _joined(paths: list[Path]) -> TokenArray:
    parts = [_tokens(path) for path in paths]
    if not parts:
        return np.zeros(0, dtype=np.uint16)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _tokens(path: Path) -> TokenArray:
    """The tokens of one file, memory-mapped."""
    try:
        size = path.stat().st_size
        if size == 0 or size % 2:
            raise DataError(f"a token file must hold 16-bit tokens, but {path} has {size} bytes")
        with path.open("rb") as file:
            head = (
                np.frombuffer(file.read(12), dtype=np.int32) if size >= 4 * HEADER else np.zeros(1, np.int32)
            )
        if head[0] != MAGIC:
            return np.memmap(path, dtype=np.uint16, mode="r")
        tokens = np.memmap(path, dtype=np.uint16, mode="r", offset=4 * HEADER)
    except OSError as error:
        raise DataError(f"every token file must be readable, but {path} is not: {error.strerror}") from error
    if len(tokens) != head[2]:
        raise DataError(
            f"a token file must hold as many tokens as its header says, but {path} has {len(tokens)} "
            f"of {head[2]}"
        )
    return tokens


def _checked(path: Path, vocab: int) -> str:
    """Fingerprint of a file whose tokens are all in the vocabulary."""
    stat = path.stat()
    key = hashlib.sha256(f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()[:24]
    memo = cache_directory() / f"{key}.bin.json"  # a long file is read through once, not at every start
    try:
        known = json.loads(memo.read_text())
        largest, mark = int(known["largest"]), str(known["mark"])
    except (OSError, ValueError, KeyError, TypeError):
        tokens = _tokens(path)
        largest = max(int(tokens[i : i + _CHUNK].max()) for i in range(0, len(tokens), _CHUNK))
        mark = fingerprint(path)
        _remember(memo, {"largest": largest, "mark": mark})
    if largest >= vocab:
        raise DataError(f"every token must be below vocab, but {path} holds {largest} and vocab is {vocab}")
    return mark


def _remember(memo: Path, known: dict[str, object]) -> None:
    """As good as it goes: without it, the file is read through again."""
    try:
        memo.parent.mkdir(parents=True, exist_ok=True)
        part = memo.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(known))
        part.replace(memo)
    except OSError:
        return
