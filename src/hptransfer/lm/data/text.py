"""Text files: which ones, split by file, tokenised into the cache."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import sysconfig
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hptransfer.errors import DataError
from hptransfer.lm.data.cache import Corpus, append, cached
from hptransfer.lm.data.tokenizer import Tokenizer, encoded, named, saved, trained
from hptransfer.runs.config import DataConfig, ModelConfig

CACHE_FORMAT = 2  # raise when the cached files change meaning
_SKIPPED = {"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__"}


def source_files(data: DataConfig) -> list[Path]:
    """The files of a text source, sorted by path.

    Raises:
        DataError: the glob matches no file.
    """
    if data.source == "python-stdlib":
        root = Path(sysconfig.get_path("stdlib"))
        return sorted(p for p in root.rglob("*.py") if not _SKIPPED & set(p.relative_to(root).parts))
    return matching(data.files or "")


def matching(pattern: str) -> list[Path]:
    """The files that a glob names, sorted by path.

    Raises:
        DataError: there is none.
    """
    found = sorted(Path(p) for p in glob.glob(pattern, recursive=True) if os.path.isfile(p))
    if not found:
        raise DataError(f"the glob `files` must match at least one file, but {pattern!r} matches none")
    return found


def text_corpus(data: DataConfig, model: ModelConfig) -> Corpus:
    """The tokens of text files: a function of their bytes, the split and the tokenizer.

    Raises:
        DataError: no files, or one that cannot be read.
    """
    texts = [_read(path) for path in source_files(data)]
    tokenizer = None if data.tokenizer is None else named(data.tokenizer, model.vocab)
    digest = _content_hash(texts, data, model.vocab if tokenizer is None else tokenizer.to_str())
    return cached(digest, partial(_tokenise, texts, data, model.vocab, tokenizer))


def split(texts: Sequence[bytes], fraction: float) -> tuple[list[bytes], list[bytes]]:
    """By file: files in the order of their contents' hashes are held out while they fit the share of bytes.

    Where none fits, the smallest is held out; a single file is cut in two.
    """
    budget = fraction * sum(map(len, texts))
    if len(texts) == 1:
        cut = len(texts[0]) - round(budget)
        return [texts[0][:cut]], [texts[0][cut:]]
    held: set[int] = set()
    for index in sorted(range(len(texts)), key=lambda i: hashlib.sha256(b"split" + texts[i]).digest()):
        if 0 < len(texts[index]) <= budget and len(held) < len(texts) - 1:
            held.add(index)
            budget -= len(texts[index])
    held = held or {min(range(len(texts)), key=lambda i: len(texts[i]))}
    return [t for i, t in enumerate(texts) if i not in held], [texts[i] for i in sorted(held)]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"every text file must be readable, but {path} is not: {error.strerror}") from error


def _content_hash(texts: Sequence[bytes], data: DataConfig, tokenizer: int | str) -> str:
    whole = hashlib.sha256(json.dumps([CACHE_FORMAT, data.validation_fraction, tokenizer]).encode())
    for text in texts:
        whole.update(hashlib.sha256(text).digest())
    return whole.hexdigest()


def _tokenise(
    texts: Sequence[bytes], data: DataConfig, vocab: int, tokenizer: Tokenizer | None, folder: Path
) -> dict[str, Any]:
    train, validation = split(texts, data.validation_fraction)
    tokenizer = tokenizer or trained(_decoded(train), vocab)
    saved(tokenizer, folder)
    for name, part in (("train", train), ("validation", validation)):
        append(encoded(tokenizer, _decoded(part)), folder / f"{name}.bin")
    return {"text_bytes": sum(map(len, texts))}


def _decoded(texts: Sequence[bytes]) -> list[str]:
    return [text.decode("utf-8", errors="replace") for text in texts]
