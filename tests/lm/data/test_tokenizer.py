"""Tokenizers: our own BPE, and those by name."""

from pathlib import Path

import numpy as np
import pytest

from hptransfer.errors import DataError
from hptransfer.lm.data import cache_directory, load_corpus, source_files
from hptransfer.lm.data.tokenizer import encoded, named, saved, trained
from hptransfer.runs.config import RunSpec


def test_tokens_decode_to_the_text(tiny: RunSpec) -> None:
    from tokenizers import Tokenizer

    corpus = load_corpus(tiny.data, tiny.model)
    tokenizer = Tokenizer.from_file(str(cache_directory() / corpus.sha256[:24] / "tokenizer.json"))
    texts = [p.read_text() for p in source_files(tiny.data)]
    decoded = tokenizer.decode(corpus.train.tolist()) + tokenizer.decode(corpus.validation.tolist())
    assert len(decoded) == sum(map(len, texts))
    assert all(text in decoded for text in texts)
    assert tokenizer.get_vocab_size() <= tiny.model.vocab


TEXTS = ["the quick brown fox\n" * 20, "jumps over the lazy dog\n" * 20]


def test_a_trained_tokenizer_knows_every_byte_and_no_more_than_its_vocabulary() -> None:
    tokenizer = trained(TEXTS, 280)
    assert tokenizer.get_vocab_size() == 280
    text = "żółw\x00 🦊"  # nothing of it was trained on
    ids = encoded(tokenizer, [text])
    assert ids.dtype == np.uint16
    assert tokenizer.decode(ids.tolist()) == text


def test_texts_follow_each_other() -> None:
    tokenizer = trained(TEXTS, 280)
    both = np.concatenate([encoded(tokenizer, [text]) for text in TEXTS])
    np.testing.assert_array_equal(encoded(tokenizer, TEXTS), both)
    assert encoded(tokenizer, []).shape == (0,)


def test_a_saved_tokenizer_is_found_by_its_file_and_by_its_folder(tmp_path: Path) -> None:
    tokenizer = trained(TEXTS, 280)
    saved(tokenizer, tmp_path)
    for name in (tmp_path, tmp_path / "tokenizer.json"):
        np.testing.assert_array_equal(encoded(named(str(name), 280), TEXTS), encoded(tokenizer, TEXTS))
    with pytest.raises(DataError, match="has 280 and vocab is 279"):
        named(str(tmp_path), 279)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(DataError, match="`tokenizer` must be a") as caught:
        named(str(tmp_path), 280)
    assert "\n" not in str(caught.value)
