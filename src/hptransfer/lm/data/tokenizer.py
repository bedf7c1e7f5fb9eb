"""Tokenizers: a byte-level BPE of our own, or one by name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from hptransfer.errors import DataError, MissingExtraError
from hptransfer.lm.data.cache import TokenArray

Tokenizer: TypeAlias = Any  # tokenizers.Tokenizer, which has no type stubs


def trained(texts: Sequence[str], vocab: int) -> Tokenizer:
    """A byte-level BPE of that vocabulary, trained on the texts."""
    tokenizers = _library()
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def named(name: str, vocab: int) -> Tokenizer:
    """A tokenizer by name: a `tokenizer.json`, a folder that holds one, or a name on the Hugging Face Hub.

    Raises:
        DataError: there is none, or it has more tokens than the model's vocabulary.
    """
    tokenizers = _library()
    try:
        path = os.path.join(name, "tokenizer.json") if os.path.isdir(name) else name
        if os.path.isfile(path):
            found = tokenizers.Tokenizer.from_file(path)
        else:
            found = tokenizers.Tokenizer.from_pretrained(name)
    except Exception as error:  # the library raises bare Exceptions
        raise DataError(
            f"`tokenizer` must be a tokenizer.json, a folder with one or a name on the Hugging Face Hub, but "
            f"{name!r} cannot be loaded: {' '.join(str(error).split())}"
        ) from error
    found.no_truncation()
    found.no_padding()
    if (size := found.get_vocab_size()) > vocab:
        raise DataError(
            f"model.vocab must hold every token of the tokenizer, but {name!r} has {size} and vocab "
            f"is {vocab}"
        )
    return found


def saved(tokenizer: Tokenizer, folder: Path) -> None:
    """Keep the tokenizer beside its tokens."""
    (folder / "tokenizer.json").write_text(tokenizer.to_str())  # not its save(), whose errors are no OSError


def encoded(tokenizer: Tokenizer, texts: Sequence[str]) -> TokenArray:
    """Token ids of the texts in a row, without special tokens between them, [tokens]."""
    parts = [
        np.asarray(e.ids, dtype=np.uint16) for e in tokenizer.encode_batch(texts, add_special_tokens=False)
    ]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint16)


def _library() -> Any:
    try:
        import tokenizers
        import tokenizers.decoders
        import tokenizers.models
        import tokenizers.pre_tokenizers
        import tokenizers.trainers
    except ImportError as error:
        raise MissingExtraError("lm", "tokenising text") from error
    return tokenizers
