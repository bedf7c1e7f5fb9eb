"""What a step trains on, and what a loss is measured on."""

from pathlib import Path

import numpy as np
import pytest

from hptransfer.errors import DataError
from hptransfer.lm.data import batch, load_corpus, validation_sequences
from hptransfer.lm.data.cache import Corpus
from hptransfer.runs.config import DataConfig, ModelConfig, RunSpec


def test_batches_depend_on_seed_and_step_alone(tiny: RunSpec) -> None:
    corpus = load_corpus(tiny.data, tiny.model)
    a = batch(corpus, tiny.model, 4, 1, 7)
    assert a.shape == (4, tiny.model.context + 1)
    np.testing.assert_array_equal(a, batch(corpus, tiny.model, 4, 1, 7))
    assert not np.array_equal(a, batch(corpus, tiny.model, 4, 1, 8))
    assert not np.array_equal(a, batch(corpus, tiny.model, 4, 2, 7))


def test_the_last_window_can_be_drawn(tiny: RunSpec) -> None:
    corpus = load_corpus(tiny.data, tiny.model)
    windows = np.concatenate([batch(corpus, tiny.model, 4096, 0, s) for s in range(4)])
    last = corpus.train[-(tiny.model.context + 1) :]
    assert (windows == last).all(axis=1).any()


def test_validation_sequences_do_not_overlap(tiny: RunSpec) -> None:
    corpus = load_corpus(tiny.data, tiny.model)
    sequences = validation_sequences(corpus, tiny.data, tiny.model)
    assert sequences.shape == (tiny.data.validation_tokens // tiny.model.context, tiny.model.context + 1)
    np.testing.assert_array_equal(sequences.ravel(), corpus.validation[: sequences.size])


def counted(tokens: int) -> Corpus:
    return Corpus(np.arange(tokens, dtype=np.uint16), np.arange(tokens, dtype=np.uint16), "")


def test_a_batch_is_windows_of_the_training_tokens() -> None:
    model = ModelConfig(width=8, heads=1, context=4, vocab=300)
    rows = batch(counted(200), model, 6, 3, 5)
    starts = np.random.default_rng([3, 5]).integers(0, 196, size=6)
    np.testing.assert_array_equal(rows, starts[:, None] + np.arange(5))
    assert rows.dtype == np.int64


def test_validation_sequences_golden() -> None:
    model = ModelConfig(width=8, heads=1, context=4, vocab=300)
    found = validation_sequences(counted(200), DataConfig(validation_tokens=11), model)  # two contexts of 4
    assert found.tolist() == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    few = DataConfig(validation_tokens=1)
    assert validation_sequences(counted(200), few, model).tolist() == [[0, 1, 2, 3, 4]]


@pytest.mark.parametrize(
    ("train", "held", "refused"),
    [(9, 18, None), (8, 18, "training"), (9, 17, "validation")],
)
def test_too_few_tokens_are_refused(tmp_path: Path, train: int, held: int, refused: str | None) -> None:
    np.arange(train, dtype=np.uint16).tofile(tmp_path / "train.bin")
    np.arange(held, dtype=np.uint16).tofile(tmp_path / "held.bin")
    files = {"files": str(tmp_path / "train.bin"), "validation_files": str(tmp_path / "held.bin")}
    data = DataConfig(source="bin", validation_tokens=16, **files)
    model = ModelConfig(width=8, heads=1, context=8, vocab=300)
    if refused is None:
        assert len(load_corpus(data, model).train) == train
    else:
        with pytest.raises(DataError, match=f"the {refused} text must"):
            load_corpus(data, model)
