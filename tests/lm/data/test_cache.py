"""The cache of tokens: whole or not at all, and checked when it is opened."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

from hptransfer.errors import DataError
from hptransfer.lm.data import cache_directory, load_corpus
from hptransfer.lm.data.cache import cached, fingerprint
from hptransfer.runs.config import DataConfig, ModelConfig, RunSpec

MODEL = ModelConfig(width=8, heads=1, context=8, vocab=300)


def synthetic(**fields: object) -> DataConfig:
    options = {"tokens": 60_000, "classes": 8, "zipf": 1.5, "validation_tokens": 1024}
    return DataConfig(source="synthetic", **{**options, **fields})


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


def test_an_unwritable_cache_is_refused(
    tiny: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HPTRANSFER_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DataError, match=r"must be writable"):
        load_corpus(tiny.data, tiny.model)


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


def test_an_entry_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPTRANSFER_CACHE", str(tmp_path))
    made: list[Path] = []

    def make(folder: Path) -> dict[str, float]:
        made.append(folder)
        np.arange(7, dtype=np.uint16).tofile(folder / "train.bin")
        np.arange(3, dtype=np.uint16).tofile(folder / "validation.bin")
        return {"text_bytes": 20, "entropy_rate": 1.5}

    for _ in range(2):
        corpus = cached("d" * 64, make)
        assert (corpus.train.tolist(), corpus.validation.tolist()) == ([*range(7)], [0, 1, 2])
        assert (corpus.sha256, corpus.text_bytes) == ("d" * 64, 20)
        assert (corpus.entropy_rate, corpus.validation_floor) == (1.5, None)
    assert len(made) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["d" * 24]


@pytest.mark.parametrize("resumes", [False, True])
def test_what_a_failed_making_leaves_is_kept_only_to_resume_from(
    resumes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPTRANSFER_CACHE", str(tmp_path))
    seen: list[list[str]] = []

    def make(folder: Path) -> dict[str, float]:
        seen.append([path.name for path in folder.iterdir()])
        (folder / "train.bin").write_bytes(b"ab")
        raise DataError("no network")

    for _ in range(2):
        with pytest.raises(DataError, match="no network"):
            cached("e" * 64, make, resumes)
    assert seen == [[], ["train.bin"] if resumes else []]


def test_the_cache_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPTRANSFER_CACHE", "/a")
    assert cache_directory() == Path("/a")
    monkeypatch.delenv("HPTRANSFER_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert cache_directory() == Path("/b/hptransfer")


def test_fingerprints(tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"abc")
    assert fingerprint(tmp_path / "small") == hashlib.sha256(b"abc").hexdigest()
    long = tmp_path / "long"
    with long.open("wb") as file:
        file.truncate(80 << 20)
    before = fingerprint(long)
    with long.open("r+b") as file:
        file.seek((80 << 20) - 1)
        file.write(b"x")  # the last block is among those that are hashed
    assert fingerprint(long) != before
