"""Hugging Face datasets: what is read of them, resumed, and refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from hptransfer.errors import DataError
from hptransfer.lm.data import cache_directory, load_corpus
from hptransfer.lm.data import hub as hub_module
from hptransfer.runs.config import DataConfig, ModelConfig

MODEL = ModelConfig(width=8, heads=1, context=8, vocab=300)


def documents(count: int = 40) -> list[str]:
    return [f"document {i}: the quick brown fox number {i * i} jumps\n" for i in range(count)]


@pytest.fixture
def jsonl(tmp_path: Path) -> Path:
    pytest.importorskip("datasets")
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps({"id": i, "body": t}) + "\n" for i, t in enumerate(documents())))
    return path


def from_hub(path: Path, **fields: object) -> DataConfig:
    options = {"dataset": "json", "files": str(path), "column": "body", "validation_tokens": 16}
    return DataConfig(source="hub", validation_fraction=0.3, **{**options, **fields})


@pytest.fixture
def tokenizer(tmp_path: Path) -> str:
    """A tokenizer on disk that knows an end of text, as GPT-2's does."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=290, initial_alphabet=alphabet, special_tokens=["<|endoftext|>"], show_progress=False
    )
    made.train_from_iterator(documents(), trainer)
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    made.save(str(folder / "tokenizer.json"))
    return str(folder)


@pytest.mark.parametrize("form", ["json", "parquet", "folder"])
def test_a_dataset_is_its_documents_with_their_ends(
    form: str, jsonl: Path, tokenizer: str, tmp_path: Path
) -> None:
    import datasets
    from tokenizers import Tokenizer

    data = from_hub(jsonl, tokenizer=tokenizer)
    table = datasets.Dataset.from_dict({"body": documents()})
    if form == "parquet":
        table.to_parquet(str(tmp_path / "t.parquet"))
        data = from_hub(tmp_path / "t.parquet", dataset="parquet", tokenizer=tokenizer)
    if form == "folder":
        table.save_to_disk(str(tmp_path / "table"))
        data = data.model_copy(update={"dataset": str(tmp_path / "table"), "files": None})
    corpus = load_corpus(data, MODEL)
    read = Tokenizer.from_file(tokenizer + "/tokenizer.json")
    end = read.token_to_id("<|endoftext|>")
    found = []
    for tokens in (corpus.train, corpus.validation):
        cuts = np.flatnonzero(tokens == end)
        assert cuts[-1] == len(tokens) - 1
        found.append([read.decode(part[part != end].tolist()) for part in np.split(tokens, cuts + 1)[:-1]])
    assert sorted(found[0] + found[1]) == sorted(documents())
    assert [text for text in documents() if text in found[0]] == found[0]  # in the dataset's order
    assert 4 <= len(found[1]) <= 20


def test_without_a_tokenizer_one_is_trained(jsonl: Path) -> None:
    corpus = load_corpus(from_hub(jsonl), MODEL)
    assert corpus.train.max() < MODEL.vocab
    assert corpus.text_bytes == sum(map(len, documents()))


class Killed(BaseException):
    pass


def test_tokenising_goes_on_where_it_was_killed(
    jsonl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "_BATCH", 7)
    data = from_hub(jsonl)
    monkeypatch.setenv("HPTRANSFER_CACHE", str(tmp_path / "undisturbed"))
    whole = load_corpus(data, MODEL)
    monkeypatch.setenv("HPTRANSFER_CACHE", str(tmp_path / "killed"))
    keep, seen = hub_module._add, []

    def killed_in_the_third(*args: object) -> None:
        if len(seen) == 2:
            (part,) = cache_directory().glob(".partial-*/train.bin")
            with part.open("ab") as file:
                file.write(b"torn")  # tokens whose progress was never noted
            raise Killed
        seen.append(args)
        keep(*args)

    monkeypatch.setattr(hub_module, "_add", killed_in_the_third)
    with pytest.raises(Killed):
        load_corpus(data, MODEL)
    batches: list[object] = []
    monkeypatch.setattr(hub_module, "_add", lambda *args: (batches.append(args[3]), keep(*args)))
    again = load_corpus(data, MODEL)
    assert len(batches) == 4  # of six; two were done
    np.testing.assert_array_equal(again.train, whole.train)
    np.testing.assert_array_equal(again.validation, whole.validation)
    assert again.sha256 == whole.sha256
    assert not list(cache_directory().glob(".partial-*/*"))


def test_a_damaged_dataset_cache_is_made_again(jsonl: Path) -> None:
    whole = load_corpus(from_hub(jsonl), MODEL)
    tokens, entry = np.array(whole.train), cache_directory() / whole.sha256[:24]
    (entry / "train.bin").write_bytes(b"xx")
    np.testing.assert_array_equal(load_corpus(from_hub(jsonl), MODEL).train, tokens)
    shutil.rmtree(entry)
    np.testing.assert_array_equal(load_corpus(from_hub(jsonl), MODEL).train, tokens)


def test_a_dataset_that_ends_early_is_refused(jsonl: Path) -> None:
    enough = load_corpus(from_hub(jsonl, tokens=300), MODEL)
    assert len(enough.train) + len(enough.validation) >= 300
    for _ in range(2):  # the second time from what the first has left
        with pytest.raises(DataError, match=r"must hold 1,000,000 tokens .* ended after \d+"):
            load_corpus(from_hub(jsonl, tokens=1_000_000), MODEL)


def test_bad_datasets_are_refused_in_one_line(jsonl: Path, tokenizer: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="got 'text'; valid: id, body"):
        load_corpus(from_hub(jsonl, column="text"), MODEL)
    with pytest.raises(DataError, match="must be readable, but 'no-such-format'"):
        load_corpus(from_hub(jsonl, dataset="no-such-format"), MODEL)
    with pytest.raises(DataError, match="`tokenizer` must be"):
        load_corpus(from_hub(jsonl, tokenizer=str(tmp_path)), MODEL)
    small = MODEL.model_copy(update={"vocab": 280})
    with pytest.raises(DataError, match="has 290 and vocab is 280"):
        load_corpus(from_hub(jsonl, tokenizer=tokenizer), small)
    jsonl.write_text("{not json")
    with pytest.raises(DataError, match="must be readable") as caught:
        load_corpus(from_hub(jsonl), MODEL)
    assert "\n" not in str(caught.value)
