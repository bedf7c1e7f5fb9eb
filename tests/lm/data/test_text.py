"""Text files: which ones, their split, their tokens."""

from pathlib import Path

import pytest

from hptransfer.errors import DataError
from hptransfer.lm.data import load_corpus, source_files
from hptransfer.lm.data.text import matching, split
from hptransfer.runs.config import DataConfig, ModelConfig


def test_stdlib_is_real_text_of_over_ten_megabytes() -> None:
    files = source_files(DataConfig())
    assert sum(p.stat().st_size for p in files) > 10e6
    assert not [p for p in files if "site-packages" in p.parts]


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


def test_matching_sorts_files_and_leaves_out_folders(tmp_path: Path) -> None:
    (tmp_path / "c.txt").mkdir()
    for name in ("b.txt", "a.txt"):
        (tmp_path / name).write_text("")
    assert [path.name for path in matching(str(tmp_path / "*.txt"))] == ["a.txt", "b.txt"]
    with pytest.raises(DataError, match="matches none"):
        matching(str(tmp_path / "*.md"))
