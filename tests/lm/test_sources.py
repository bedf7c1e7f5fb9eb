"""Token files, Hugging Face datasets and the synthetic source: each against what it must hold."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
from pydantic import ValidationError

from hptransfer.errors import DataError
from hptransfer.lm.data import cache_directory, load_corpus, validation_sequences
from hptransfer.lm.data import hub as hub_module
from hptransfer.lm.data.synthetic import entropy_rate, rank_log_probabilities
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
        with pytest.raises(DataError, match=r"must hold 1000000 tokens .* ended after \d+"):
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


FULL = """
    import resource, signal, sys
    from hptransfer.errors import DataError
    from hptransfer.runs.config import DataConfig, ModelConfig
    from hptransfer.lm.data import load_corpus

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))  # what a full disk does, half way
    try:
        load_corpus(DataConfig.model_validate_json(sys.argv[1]), ModelConfig(vocab=300))
    except DataError as error:
        print(error)
"""


@pytest.mark.skipif(os.name != "posix", reason="no limit on the size of files")
def test_a_full_disk_is_told_and_leaves_nothing_half_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPTRANSFER_CACHE", str(tmp_path))
    data = synthetic()  # 114 kB of training tokens
    done = subprocess.run(
        [sys.executable, "-c", dedent(FULL), data.model_dump_json()],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"the token cache at {tmp_path} must be writable, but: File too large" in done.stdout
    assert done.stdout.count("\n") == 1
    assert not list(tmp_path.iterdir())
    assert len(load_corpus(data, MODEL).train) == 57_000
