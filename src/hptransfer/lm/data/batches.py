"""Batches: what a step trains on and what a loss is measured on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hptransfer.errors import DataError
from hptransfer.lm.data.cache import Corpus
from hptransfer.runs.config import DataConfig, ModelConfig


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

    Args:
        corpus: whose validation part they are.
        data: says how many tokens.
        model: whose context they fill.
    """
    length = model.context + 1
    count = _validation_count(data, model)
    return np.asarray(corpus.validation[: count * length].reshape(count, length), dtype=np.int64)


def check_length(corpus: Corpus, data: DataConfig, model: ModelConfig) -> None:
    """Refuse tokens that cannot fill what the spec asks of them.

    Args:
        corpus: that was made or read.
        data: of the spec.
        model: of the spec.

    Raises:
        DataError: too few tokens to validate on, or to train on.
    """
    needed = _validation_count(data, model) * (model.context + 1)
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


def _validation_count(data: DataConfig, model: ModelConfig) -> int:
    return max(1, data.validation_tokens // model.context)
