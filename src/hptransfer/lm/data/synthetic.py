"""A Markov source whose entropy rate is known exactly, so that a study's lowest loss can be checked."""

from __future__ import annotations

import hashlib
import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hptransfer.lm.data.cache import Corpus, TokenArray, append, cached
from hptransfer.runs.config import DataConfig, ModelConfig

_FORMAT = 1  # raise when the same spec comes to mean other tokens
DEFAULT_TOKENS = 1 << 22


def synthetic_corpus(data: DataConfig, model: ModelConfig) -> Corpus:
    """Tokens of a Markov chain; the last share of the chain is held out.

    The next token is (a r + b) mod V, where the rank r is drawn from a Zipf law, p(r) ~ (r + 1)**-zipf, and
    a (prime to V) and b belong to the classes (token mod `classes`) of the last `order` tokens. That is a
    permutation of one and the same distribution in every context, so the entropy rate is the entropy of p,
    whatever the stationary distribution. With order 1 a model sees the whole of its context at every
    position; with order k, the first k - 1 positions of a sequence have less, and a higher lowest loss.
    """
    spec = [_FORMAT, model.vocab, data.order, data.classes, data.zipf, data.seed, _count(data)]
    spec.append(data.validation_fraction)
    digest = hashlib.sha256(json.dumps(["synthetic", *spec]).encode()).hexdigest()
    return cached(digest, partial(_generate, data, model.vocab))


def entropy_rate(vocab: int, zipf: float) -> float:
    """Entropy of the next token given its context, nats."""
    logs = rank_log_probabilities(vocab, zipf)
    return -float(math.fsum(np.exp(logs) * logs))


def rank_log_probabilities(vocab: int, zipf: float) -> NDArray[np.float64]:
    """Log probability of each rank, nats, [vocab]."""
    logs = -zipf * np.log(np.arange(1, vocab + 1, dtype=np.float64))
    return np.asarray(logs - math.log(math.fsum(np.exp(logs))))


def _generate(data: DataConfig, vocab: int, folder: Path) -> dict[str, Any]:
    logs = rank_log_probabilities(vocab, data.zipf)
    rng = np.random.default_rng([data.seed, data.order, data.classes, vocab])
    factors, offsets = _permutations(rng, data.classes**data.order, vocab)
    cumulated = np.cumsum(np.exp(logs))
    ranks = np.searchsorted(cumulated / cumulated[-1], rng.random(_count(data)), side="right")
    tokens = _chain(ranks, factors, offsets, data, vocab)
    cut = len(tokens) - round(len(tokens) * data.validation_fraction)
    append(tokens[:cut], folder / "train.bin")
    append(tokens[cut:], folder / "validation.bin")
    return {
        "entropy_rate": entropy_rate(vocab, data.zipf),
        "validation_floor": -float(logs[ranks[cut:]].mean()),
    }


def _permutations(rng: np.random.Generator, contexts: int, vocab: int) -> tuple[list[int], list[int]]:
    """Factor (prime to the vocabulary) and offset of every context."""
    prime_to = np.array([a for a in range(1, vocab) if math.gcd(a, vocab) == 1])
    return rng.choice(prime_to, contexts).tolist(), rng.integers(0, vocab, contexts).tolist()


def _chain(
    ranks: NDArray[np.intp], factors: list[int], offsets: list[int], data: DataConfig, vocab: int
) -> TokenArray:
    """The chain that the ranks give; a plain loop, since each token decides the next one's context."""
    classes, contexts, context = data.classes, data.classes**data.order, 0
    tokens: list[int] = []
    append = tokens.append
    for rank in ranks.tolist():
        token = (factors[context] * rank + offsets[context]) % vocab
        append(token)
        context = (context * classes + token % classes) % contexts
    return np.array(tokens, dtype=np.uint16)


def _count(data: DataConfig) -> int:
    return DEFAULT_TOKENS if data.tokens is None else data.tokens
