"""The tokens of a source, whichever it is, and the batches that are drawn from them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hptransfer.errors import DataError
from hptransfer.lm.data.bins import bin_corpus
from hptransfer.lm.data.cache import Corpus
from hptransfer.lm.data.hub import hub_corpus
from hptransfer.lm.data.synthetic import synthetic_corpus
from hptransfer.lm.data.text import text_corpus
from hptransfer.runs.config import DataConfig, ModelConfig
from hptransfer.words import count

_SOURCES: dict[str, Callable[[DataConfig, ModelConfig], Corpus]] = {
    "python-stdlib": text_corpus,
    "text": text_corpus,
    "bin": bin_corpus,
    "hub": hub_corpus,
    "synthetic": synthetic_corpus,
}


def load_corpus(data: DataConfig, model: ModelConfig) -> Corpus:
    """The tokens of a source, from the cache, or newly made and then cached.

    What decides the tokens (the files' bytes, the split, the tokenizer) is hashed, and the hash names the
    cache entry, so a changed file is a new entry. A damaged entry is made again.

    Raises:
        DataError: no files, too few tokens, tokens beyond the vocabulary, or a cache that cannot be written.
        MissingExtraError: the source needs a package that is not installed.
    """
    corpus = _SOURCES[data.source](data, model)
    _check_length(corpus, data, model)
    return corpus


def batch(
    corpus: Corpus, model: ModelConfig, batch_size: int, data_seed: int, step: int
) -> NDArray[np.int64]:
    """Sequences of one step: a function of the data seed and the step alone, so every LR sees the same.

    Args:
        corpus: to draw from.
        model: whose context they fill.
        batch_size: sequences.
        data_seed: of the run.
        step: counted from 0.

    Returns:
        Token ids, [batch_size, context + 1]: inputs and, shifted by one, targets.
    """
    starts = np.random.default_rng([data_seed, step]).integers(
        0, len(corpus.train) - model.context, size=batch_size
    )
    windows = starts[:, None] + np.arange(model.context + 1)
    return np.asarray(corpus.train[windows], dtype=np.int64)


def validation_sequences(corpus: Corpus, data: DataConfig, model: ModelConfig) -> NDArray[np.int64]:
    """The held-out sequences that every loss is measured on, [sequences, context + 1], without overlap.

    As many as fill `validation_tokens` of contexts, from the start of the corpus's validation part.
    """
    length = model.context + 1
    count = _validation_count(data, model)
    return np.asarray(corpus.validation[: count * length].reshape(count, length), dtype=np.int64)


def _check_length(corpus: Corpus, data: DataConfig, model: ModelConfig) -> None:
    """Refuse tokens that cannot fill what the spec asks of them."""
    needed = _validation_count(data, model) * (model.context + 1)
    if len(corpus.validation) < needed:
        raise DataError(
            f"the validation text must hold {count(needed)} tokens, but it has "
            f"{count(len(corpus.validation))}; lower `validation_tokens` or raise `validation_fraction`"
        )
    if len(corpus.train) <= model.context:
        raise DataError(
            f"the training text must be longer than one context of {count(model.context)} tokens, "
            f"but it has {count(len(corpus.train))}"
        )


def _validation_count(data: DataConfig, model: ModelConfig) -> int:
    return max(1, data.validation_tokens // model.context)
