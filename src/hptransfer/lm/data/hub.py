"""Hugging Face datasets: streamed, tokenised once into the cache, resumed after a kill."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hptransfer.errors import DataError, HPTransferError, MissingExtraError
from hptransfer.lm.data.cache import NAMES, Corpus, TokenArray, append, cached, fingerprint
from hptransfer.lm.data.text import matching
from hptransfer.lm.data.tokenizer import Tokenizer, encoded, named, saved, trained
from hptransfer.runs.config import DataConfig, ModelConfig
from hptransfer.words import count

_FORMAT = 1  # raise when the cached files change meaning
_BATCH = 512  # documents between two positions to resume from
BPE_DOCUMENTS = 4096  # first documents that a tokenizer of our own is trained on
_ENDS = ("<|endoftext|>", "</s>", "<|end_of_text|>", "<eos>", "[SEP]")  # put after a document, where known


@dataclass
class _Progress:
    """How far an entry is: where a restart resumes. Anything in the files beyond this is cut off."""

    documents: int = 0
    text_bytes: int = 0
    train: int = 0  # tokens
    validation: int = 0  # tokens
    done: bool = False


def hub_corpus(data: DataConfig, model: ModelConfig) -> Corpus:
    """The tokens of a text column, in the dataset's own order, up to `tokens` of them.

    A document is held out where the hash of its text says so, for a share of `validation_fraction`. What is
    cached is found again without a network; pin `revision` so that it stays what the name means.

    Raises:
        DataError: no such dataset, split or column, or it ended before there were `tokens` tokens.
        MissingExtraError: `datasets` is not installed.
    """
    tokenizer = None if data.tokenizer is None else named(data.tokenizer, model.vocab)
    digest = _digest(data, model.vocab, tokenizer)
    return cached(digest, partial(_tokenise, data, model.vocab, tokenizer), resumes=True)


def _digest(data: DataConfig, vocab: int, tokenizer: Tokenizer | None) -> str:
    fields = (data.dataset, data.subset, data.split, data.column, data.revision, data.tokens)
    files = [fingerprint(path) for path in matching(data.files)] if data.files else []
    if data.dataset is not None and os.path.isdir(data.dataset):
        files += [fingerprint(path) for path in sorted(Path(data.dataset).rglob("*")) if path.is_file()]
    by = vocab if tokenizer is None else tokenizer.to_str()
    spec = [_FORMAT, fields, files, data.validation_fraction, by]
    return hashlib.sha256(json.dumps(["hub", *spec]).encode()).hexdigest()


def _tokenise(data: DataConfig, vocab: int, tokenizer: Tokenizer | None, folder: Path) -> dict[str, Any]:
    """Fill the folder from where it stands."""
    progress = _progress(folder)
    if not progress.done:
        tokenizer = _tokenizer(data, vocab, tokenizer, folder)
        end = next((found for text in _ENDS if (found := tokenizer.token_to_id(text)) is not None), None)
        for texts in _batches(_documents(data, progress.documents)):
            _add(data, tokenizer, end, texts, folder, progress)
            if _enough(data, progress):
                break
        total = progress.train + progress.validation
        if data.tokens is not None and total < data.tokens:
            raise DataError(
                f"the dataset must hold {count(data.tokens)} tokens (`tokens`), but {data.dataset!r} ended "
                f"after {count(total)}"
            )
        progress.done = True
        _keep(folder, progress)
    (folder / "progress.json").unlink()
    return {"text_bytes": progress.text_bytes}


def _add(
    data: DataConfig,
    tokenizer: Tokenizer,
    end: int | None,
    texts: Sequence[str],
    folder: Path,
    progress: _Progress,
) -> None:
    """Append a batch of documents, then write down where to resume."""
    held = [_held_out(text, data.validation_fraction) for text in texts]
    for name in NAMES:
        chosen = [text for text, out in zip(texts, held, strict=True) if out == (name == "validation")]
        tokens = _ended(tokenizer, chosen, end)
        append(tokens, folder / f"{name}.bin")
        setattr(progress, name, getattr(progress, name) + len(tokens))
    progress.documents += len(texts)
    progress.text_bytes += sum(len(text.encode(errors="replace")) for text in texts)
    _keep(folder, progress)


def _enough(data: DataConfig, progress: _Progress) -> bool:
    return data.tokens is not None and progress.train + progress.validation >= data.tokens


def _ended(tokenizer: Tokenizer, texts: Sequence[str], end: int | None) -> TokenArray:
    if end is None:
        return encoded(tokenizer, texts)
    last = np.array([end], dtype=np.uint16)
    parts = [np.concatenate([encoded(tokenizer, [text]), last]) for text in texts]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint16)


def _held_out(text: str, fraction: float) -> bool:
    digest = hashlib.sha256(b"split" + text.encode(errors="replace")).digest()
    return int.from_bytes(digest[:8], "big") < fraction * 2**64


def _progress(folder: Path) -> _Progress:
    """Where an earlier process got to; the files are cut to it. A damaged folder is begun again."""
    try:
        progress = _Progress(**json.loads((folder / "progress.json").read_text()))
        for name in NAMES:
            path, length = folder / f"{name}.bin", 2 * getattr(progress, name)
            if path.stat().st_size < length:
                raise ValueError("tokens are missing")
            os.truncate(path, length)
        return progress
    except (OSError, ValueError, TypeError):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return _Progress()


def _keep(folder: Path, progress: _Progress) -> None:
    part = folder / "progress.part"
    part.write_text(json.dumps(vars(progress)))
    part.replace(folder / "progress.json")


def _tokenizer(data: DataConfig, vocab: int, tokenizer: Tokenizer | None, folder: Path) -> Tokenizer:
    """The one that is named, or one trained on the first documents that are not held out."""
    if tokenizer is None:
        kept = folder / "tokenizer.json"
        if kept.is_file():
            return named(str(kept), vocab)
        first = itertools.islice(_documents(data, 0), BPE_DOCUMENTS)
        tokenizer = trained([t for t in first if not _held_out(t, data.validation_fraction)], vocab)
    saved(tokenizer, folder)
    return tokenizer


def _batches(documents: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(itertools.islice(documents, _BATCH)):
        yield batch


def _documents(data: DataConfig, skip: int) -> Iterator[str]:
    """The text column, from a document on."""
    try:
        rows = _dataset(data)
        for row in rows.skip(skip) if skip else rows:
            if data.column not in row:
                raise DataError(
                    f"`column` must be a column of the dataset, but got {data.column!r}; "
                    f"valid: {', '.join(row)}"
                )
            yield text if isinstance(text := row[data.column], str) else ""  # a missing text is no document
    except (HPTransferError, GeneratorExit):
        raise
    except Exception as error:  # whatever the library, a parser or the network raises
        raise DataError(
            f"`dataset` must be readable, but {data.dataset!r} is not: {type(error).__name__}: "
            f"{' '.join(str(error).split())}"
        ) from error


def _dataset(data: DataConfig) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError("hf", "reading a Hugging Face dataset") from error
    assert data.dataset is not None  # the config sees to it
    if os.path.isfile(os.path.join(data.dataset, "state.json")):  # made by save_to_disk
        return datasets.load_from_disk(data.dataset).to_iterable_dataset()
    files = [str(path) for path in matching(data.files)] if data.files else None
    return datasets.load_dataset(
        data.dataset,
        data.subset,
        split=data.split,
        streaming=True,
        data_files=files,
        revision=data.revision,
    )
