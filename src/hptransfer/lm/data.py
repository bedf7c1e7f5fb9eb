"""Text to tokens: sources, split by file, byte-level BPE, a cache by content, and batches."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hptransfer.errors import DataError, MissingExtraError
from hptransfer.lm.config import DataConfig, ModelConfig

TokenArray = NDArray[np.uint16]
CACHE_FORMAT = 2  # raise when the cached files change meaning
MAX_VOCAB = 2**16  # tokens are stored in 16 bits
_SKIPPED = {"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__"}


@dataclass(frozen=True)
class Corpus:
    """Tokenised text, split by file.

    Attributes:
        train: token ids, memory-mapped, shape [tokens].
        validation: token ids, memory-mapped, shape [tokens].
        sha256: of the text, the split and the vocabulary size.
        text_bytes: of the whole text.
    """

    train: TokenArray
    validation: TokenArray
    sha256: str
    text_bytes: int


def source_files(data: DataConfig) -> list[Path]:
    """The files of a text source, sorted by path.

    Raises:
        DataError: the glob matches no file.
    """
    if data.source == "python-stdlib":
        root = Path(sysconfig.get_path("stdlib"))
        return sorted(p for p in root.rglob("*.py") if not _SKIPPED & set(p.relative_to(root).parts))
    found = sorted(Path(p) for p in glob.glob(data.files or "", recursive=True) if os.path.isfile(p))
    if not found:
        raise DataError(f"the glob `files` must match at least one file, but {data.files!r} matches none")
    return found


def load_corpus(data: DataConfig, model: ModelConfig) -> Corpus:
    """The tokens of a source, from the cache or made anew and cached.

    Tokenising is a function of the files' bytes, the split and the vocabulary size; their hash names the
    cache entry, so a changed file is a new entry. A damaged entry is made again.

    Raises:
        DataError: no files, too little text for one sequence, or a cache that cannot be written.
    """
    files = source_files(data)
    texts = [_read(path) for path in files]
    digest = _content_hash(texts, data, model.vocab)
    entry = cache_directory() / digest[:24]
    corpus = _open_entry(entry, digest)
    if corpus is None:
        _make_entry(entry, digest, texts, data, model.vocab)
        corpus = _open_entry(entry, digest)
    if corpus is None:
        raise DataError(f"the token cache at {entry} must be readable after it was written, but it is not")
    _check_length(corpus, data, model)
    return corpus


def cache_directory() -> Path:
    """Where tokens are kept: HPTRANSFER_CACHE, or hptransfer/ in the user's cache directory."""
    if explicit := os.environ.get("HPTRANSFER_CACHE"):
        return Path(explicit)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hptransfer"


def batch(
    corpus: Corpus, model: ModelConfig, batch_size: int, data_seed: int, step: int
) -> NDArray[np.int64]:
    """Sequences of one step: a function of the data seed and the step alone, so every LR sees the same.

    Returns:
        Token ids, [batch_size, context + 1]: inputs and, shifted by one, targets.
    """
    starts = np.random.default_rng([data_seed, step]).integers(
        0, len(corpus.train) - model.context, size=batch_size
    )
    windows = starts[:, None] + np.arange(model.context + 1)
    return np.asarray(corpus.train[windows], dtype=np.int64)


def validation_sequences(corpus: Corpus, data: DataConfig, model: ModelConfig) -> NDArray[np.int64]:
    """The held-out sequences that every loss is measured on, [sequences, context + 1], without overlap."""
    length = model.context + 1
    count = max(1, data.validation_tokens // model.context)
    return np.asarray(corpus.validation[: count * length].reshape(count, length), dtype=np.int64)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"every text file must be readable, but {path} is not: {error.strerror}") from error


def _content_hash(texts: Iterable[bytes], data: DataConfig, vocab: int) -> str:
    head = json.dumps([CACHE_FORMAT, data.validation_fraction, vocab])
    whole = hashlib.sha256(head.encode())
    for text in texts:
        whole.update(hashlib.sha256(text).digest())
    return whole.hexdigest()


def _split(texts: list[bytes], fraction: float) -> tuple[list[bytes], list[bytes]]:
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


def _make_entry(entry: Path, digest: str, texts: list[bytes], data: DataConfig, vocab: int) -> None:
    """Tokenise into a fresh folder and move it into place whole, so that a reader never sees half of it."""
    train, validation = _split(texts, data.validation_fraction)
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=entry.parent, prefix=".making-") as made:
            folder = Path(made) / "entry"
            folder.mkdir()
            _tokenise(folder, train, validation, vocab)
            meta = {"sha256": digest, "text_bytes": sum(map(len, texts)), "files": _file_hashes(folder)}
            (folder / "meta.json").write_text(json.dumps(meta))
            shutil.rmtree(entry, ignore_errors=True)  # a damaged entry
            _move(folder, entry)
    except OSError as error:
        raise DataError(f"the token cache at {entry.parent} must be writable, but: {error}") from error


def _move(folder: Path, entry: Path) -> None:
    try:
        folder.rename(entry)
    except OSError:
        if not entry.is_dir():  # else another process made the same entry first
            raise


def _tokenise(folder: Path, train: list[bytes], validation: list[bytes], vocab: int) -> None:
    try:
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    except ImportError as error:
        raise MissingExtraError("lm", "tokenising text") from error
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(_decoded(train), trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    for name, texts in (("train", train), ("validation", validation)):
        encoded = tokenizer.encode_batch(list(_decoded(texts)))
        tokens = np.concatenate([np.asarray(e.ids, dtype=np.uint16) for e in encoded])
        tokens.tofile(folder / f"{name}.bin")


def _decoded(texts: Iterable[bytes]) -> Iterator[str]:
    return (text.decode("utf-8", errors="replace") for text in texts)


def _file_hashes(folder: Path) -> dict[str, str]:
    names = ("train.bin", "validation.bin")
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def _open_entry(entry: Path, digest: str) -> Corpus | None:
    """The cached corpus, or None where there is none or it is damaged."""
    try:
        meta = json.loads((entry / "meta.json").read_text())
        if meta["sha256"] != digest or meta["files"] != _file_hashes(entry):
            return None
        return Corpus(
            train=np.memmap(entry / "train.bin", dtype=np.uint16, mode="r"),
            validation=np.memmap(entry / "validation.bin", dtype=np.uint16, mode="r"),
            sha256=digest,
            text_bytes=int(meta["text_bytes"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _check_length(corpus: Corpus, data: DataConfig, model: ModelConfig) -> None:
    """Refuse text that cannot fill what the spec asks of it."""
    needed = max(1, data.validation_tokens // model.context) * (model.context + 1)
    if len(corpus.validation) < needed:
        raise DataError(
            f"the validation text must hold {needed} tokens, but it has {len(corpus.validation)}; "
            "lower `validation_tokens` or raise `validation_fraction`"
        )
    if len(corpus.train) <= model.context:
        raise DataError(
            f"the training text must be longer than one context of {model.context} tokens, "
            f"but it has {len(corpus.train)}"
        )
