"""Token files as nanoGPT and llm.c write them."""

from pathlib import Path

import numpy as np
import pytest

from hptransfer.errors import DataError
from hptransfer.lm.data import cache_directory, load_corpus
from hptransfer.runs.config import DataConfig, ModelConfig

MODEL = ModelConfig(width=8, heads=1, context=8, vocab=300)


def token_file(path: Path, tokens: np.ndarray, header: bool = False) -> Path:
    with path.open("wb") as file:
        if header:
            head = np.zeros(256, dtype=np.int32)
            head[:3] = 20240520, 1, len(tokens)
            head.tofile(file)
        tokens.astype(np.uint16).tofile(file)
    return path


def bins(path: Path, **fields: object) -> DataConfig:
    return DataConfig(source="bin", files=str(path), validation_tokens=16, **fields)


@pytest.fixture(params=[False, True], ids=["nanogpt", "llm.c"])
def header(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_token_files_are_read_as_they_are(tmp_path: Path, header: bool) -> None:
    train, held = np.arange(250) % 300, np.arange(40)[::-1]
    token_file(tmp_path / "train.bin", train, header)
    token_file(tmp_path / "val.bin", held, header)
    corpus = load_corpus(
        bins(tmp_path / "train.bin", validation_files=str(tmp_path / "val.bin")),
        MODEL,
    )
    np.testing.assert_array_equal(corpus.train, train)
    np.testing.assert_array_equal(corpus.validation, held)
    assert isinstance(corpus.train, np.memmap)


def test_without_validation_files_the_end_is_held_out(tmp_path: Path) -> None:
    for number in range(2):
        token_file(tmp_path / f"{number}.bin", np.arange(100) + 100 * number)
    corpus = load_corpus(bins(tmp_path / "*.bin", validation_fraction=0.2), MODEL)
    np.testing.assert_array_equal(corpus.train, np.arange(160))
    np.testing.assert_array_equal(corpus.validation, np.arange(160, 200))


def test_changed_token_files_are_another_corpus(tmp_path: Path) -> None:
    path = token_file(tmp_path / "a.bin", np.arange(200))
    before = load_corpus(bins(path, validation_fraction=0.2), MODEL)
    token_file(path, np.arange(200)[::-1])
    assert load_corpus(bins(path, validation_fraction=0.2), MODEL).sha256 != before.sha256


def test_bad_token_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="matches none"):
        load_corpus(bins(tmp_path / "none.bin"), MODEL)
    (tmp_path / "odd.bin").write_bytes(b"abc")
    with pytest.raises(DataError, match=r"16-bit tokens, but .*odd\.bin has 3 bytes"):
        load_corpus(bins(tmp_path / "odd.bin"), MODEL)
    with pytest.raises(DataError, match=r"below vocab, but .* holds 300 and vocab is 300"):
        load_corpus(bins(token_file(tmp_path / "big.bin", np.arange(301))), MODEL)
    cut = token_file(tmp_path / "cut.bin", np.arange(100), header=True)
    cut.write_bytes(cut.read_bytes()[:-20])
    with pytest.raises(DataError, match="has 90 of 100"):
        load_corpus(bins(cut), MODEL)
    with pytest.raises(DataError, match="must be longer than one context"):
        load_corpus(bins(token_file(tmp_path / "few.bin", np.arange(30)), validation_fraction=0.8), MODEL)


def test_a_file_that_was_read_through_is_not_read_through_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPTRANSFER_CACHE", str(tmp_path / "cache"))
    data = bins(token_file(tmp_path / "a.bin", np.arange(200)), validation_fraction=0.2)
    load_corpus(data, MODEL)
    (memo,) = cache_directory().glob("*.bin.json")
    memo.write_text(memo.read_text().replace("199", "300"))  # as if the file held it
    with pytest.raises(DataError, match="holds 300"):
        load_corpus(data, MODEL)
    memo.write_text("{")
    assert len(load_corpus(data, MODEL).train) == 160
