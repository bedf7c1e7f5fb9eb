"""The synthetic source against the entropy rate that it says it has."""

import numpy as np
import pytest
from pydantic import ValidationError

from hptransfer.lm.data import load_corpus, validation_sequences
from hptransfer.lm.data.synthetic import entropy_rate, rank_log_probabilities
from hptransfer.runs.config import DataConfig, ModelConfig

MODEL = ModelConfig(width=8, heads=1, context=8, vocab=300)


def synthetic(**fields: object) -> DataConfig:
    options = {"tokens": 60_000, "classes": 8, "zipf": 1.5, "validation_tokens": 1024}
    return DataConfig(source="synthetic", **{**options, **fields})


def test_entropy_rate_golden() -> None:
    assert entropy_rate(512, 0.0) == pytest.approx(np.log(512))
    assert entropy_rate(2, 1.0) == pytest.approx(np.log(3) - 2 / 3 * np.log(2))  # p = 2/3, 1/3
    assert np.exp(rank_log_probabilities(300, 1.2)).sum() == pytest.approx(1.0)


@pytest.mark.parametrize(("order", "classes"), [(1, 8), (2, 3), (3, 2)])
def test_the_chain_has_the_entropy_rate_it_says(order: int, classes: int) -> None:
    corpus = load_corpus(synthetic(order=order, classes=classes, tokens=200_000), MODEL)
    tokens = np.concatenate([corpus.train, corpus.validation]).astype(int)
    context = sum((tokens[order - 1 - i : len(tokens) - 1 - i] % classes) * classes**i for i in range(order))
    joint = np.zeros((classes**order, MODEL.vocab))
    np.add.at(joint, (context, tokens[order:]), 1)
    # Each context's counts, sorted, pool to the rank law.
    ranked = -np.sort(-joint, axis=1).sum(axis=0) / joint.sum()
    top = np.exp(rank_log_probabilities(MODEL.vocab, 1.5))
    assert ranked[:3] == pytest.approx(top[:3], abs=0.02)
    shares = joint / joint.sum(axis=1, keepdims=True).clip(1)
    plugged = -(joint * np.log(shares, where=shares > 0, out=np.zeros_like(shares))).sum() / joint.sum()
    assert corpus.entropy_rate is not None
    assert plugged == pytest.approx(corpus.entropy_rate, abs=0.02 + 0.5 * (joint > 0).sum() / joint.sum())
    assert plugged < corpus.entropy_rate + 0.02  # plugging in counts is biased down, never up


def test_the_floor_of_the_validation_tokens_is_near_the_rate() -> None:
    corpus = load_corpus(synthetic(tokens=400_000), MODEL)
    assert corpus.validation_floor == pytest.approx(corpus.entropy_rate, abs=0.03)
    assert corpus.validation_floor != corpus.entropy_rate
    again = load_corpus(synthetic(tokens=400_000), MODEL)
    assert again.entropy_rate == corpus.entropy_rate  # also from the cache
    assert load_corpus(synthetic(tokens=400_000, seed=1), MODEL).sha256 != corpus.sha256
    assert validation_sequences(corpus, synthetic(), MODEL).shape == (128, 9)


def test_fields_of_another_source_are_refused() -> None:
    with pytest.raises(ValidationError, match="`zipf` must be given only with source synthetic"):
        DataConfig(zipf=2.0)
    with pytest.raises(ValidationError, match="`dataset` must be given with source 'hub'"):
        DataConfig(source="hub")
    with pytest.raises(ValidationError, match="`files` must be given with source 'text'"):
        DataConfig(source="text")
    with pytest.raises(ValidationError, match=r"classes \*\* order <= 1048576"):
        synthetic(order=4, classes=64)
