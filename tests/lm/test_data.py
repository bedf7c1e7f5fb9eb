import json
from pathlib import Path

import numpy as np
import pytest

from hptransfer.errors import DataError
from hptransfer.lm.data import batch, cache_directory, load_corpus, source_files, validation_sequences
from hptransfer.lm.data.text import split
from hptransfer.runs.config import DataConfig, ModelConfig, RunSpec


def test_stdlib_is_real_text_of_over_ten_megabytes() -> None:
    files = source_files(DataConfig())
    assert sum(p.stat().st_size for p in files) > 10e6
    assert not [p for p in files if "site-packages" in p.parts]


def test_tokens_decode_to_the_text(tiny: RunSpec) -> None:
    from tokenizers import Tokenizer

    corpus = load_corpus(tiny.data, tiny.model)
    tokenizer = Tokenizer.from_file(str(cache_directory() / corpus.sha256[:24] / "tokenizer.json"))
    texts = [p.read_text() for p in source_files(tiny.data)]
    decoded = tokenizer.decode(corpus.train.tolist()) + tokenizer.decode(corpus.validation.tolist())
    assert len(decoded) == sum(map(len, texts))
    assert all(text in decoded for text in texts)
    assert tokenizer.get_vocab_size() <= tiny.model.vocab


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


def test_a_damaged_cache_is_made_again(tiny: RunSpec) -> None:
    whole = load_corpus(tiny.data, tiny.model)
    tokens = np.array(whole.train)
    entry = cache_directory() / whole.sha256[:24]
    for damage in (
        lambda: (entry / "train.bin").write_bytes(b"x"),
        lambda: (entry / "meta.json").write_text("{"),
        lambda: (entry / "validation.bin").unlink(),
        lambda: (entry / "meta.json").write_text(json.dumps(["no", "mapping"])),
    ):
        damage()
        np.testing.assert_array_equal(load_corpus(tiny.data, tiny.model).train, tokens)


def test_changed_text_is_another_corpus(tmp_path: Path) -> None:
    for number in range(8):
        (tmp_path / f"{number}.txt").write_text(f"file {number} " * 200)
    data = DataConfig(
        source="text", files=str(tmp_path / "*.txt"), validation_fraction=0.5, validation_tokens=8
    )
    model = ModelConfig(width=8, heads=1, context=4, vocab=260)
    before = load_corpus(data, model).sha256
    (tmp_path / "0.txt").write_text("something else " * 200)
    assert load_corpus(data, model).sha256 != before


def test_bad_text_is_refused_in_one_line(tmp_path: Path) -> None:
    model = ModelConfig(width=8, heads=1, context=4, vocab=260)
    nothing = DataConfig(source="text", files=str(tmp_path / "*.none"))
    with pytest.raises(DataError, match=r"matches none"):
        load_corpus(nothing, model)
    for number in range(6):
        (tmp_path / f"{number}.txt").write_text(f"{number} few words")
    few = DataConfig(source="text", files=str(tmp_path / "*.txt"), validation_fraction=0.5)
    with pytest.raises(DataError, match=r"validation text must hold"):
        load_corpus(few, model)


@pytest.mark.parametrize("sizes", [[9000], [9000, 10], [3000] * 3, [10] * 300 + [5000], [0, 4000, 0, 3000]])
def test_split_holds_out_the_share_it_can(sizes: list[int]) -> None:
    texts = [bytes([65 + i % 26]) * size for i, size in enumerate(sizes)]
    train, validation = split(texts, 0.2)
    assert sorted(b"".join(train) + b"".join(validation)) == sorted(b"".join(texts))
    assert train
    assert 0 <= len(b"".join(validation)) <= max(0.2 * sum(sizes), min(sizes)) + 1
    assert (train, validation) == split(texts, 0.2)
    if len(sizes) > 1:
        assert sorted(train + validation) == sorted(texts)


def test_one_file_will_do(tmp_path: Path) -> None:
    (tmp_path / "all.txt").write_text("to be or not to be, that is the question\n" * 400)
    data = DataConfig(source="text", files=str(tmp_path / "all.txt"), validation_tokens=64)
    model = ModelConfig(width=8, heads=1, context=8, vocab=280)
    corpus = load_corpus(data, model)
    assert len(corpus.train) > 10 * len(corpus.validation) > 0


def test_an_unwritable_cache_is_refused(
    tiny: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HPTRANSFER_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DataError, match=r"must be writable"):
        load_corpus(tiny.data, tiny.model)
