from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from small_study import study

from hptransfer.errors import DataError, StoreError
from hptransfer.runs.config import RunRecord
from hptransfer.study.corpus import check_corpus, corpus_of

CORPUS = hashlib.sha256(b"text").hexdigest()


def record(corpus: str | None) -> RunRecord:
    return RunRecord("id", "done", 3.0, engine={} if corpus is None else {"corpus": corpus})


def test_runs_of_the_same_text_and_runs_without_one_are_taken() -> None:
    check_corpus(CORPUS, [record(CORPUS), record(CORPUS[:16]), record(None)], "runs/a")


def test_runs_of_other_text_are_refused_with_both_hashes() -> None:
    other = hashlib.sha256(b"other").hexdigest()[:16]
    with pytest.raises(StoreError, match=f"runs/a were on corpus {other} and this study's is {CORPUS[:16]}"):
        check_corpus(CORPUS, [record(CORPUS[:16]), record(other)], "runs/a")


def test_a_corpus_is_a_hash_of_its_tokens(tmp_path: Path) -> None:
    def tokens(values: list[int]) -> dict[str, object]:
        path = tmp_path / f"{values[0]}.bin"
        np.array(values * 40_000, dtype=np.uint16).tofile(path)
        return {"source": "bin", "files": str(path), "validation_tokens": 256}

    hashes = [corpus_of(study(data=tokens(values))) for values in ([1, 2], [1, 2], [3, 2])]
    assert hashes[0] == hashes[1] != hashes[2]
    assert all(len(found) == 64 and int(found, 16) for found in hashes)
    with pytest.raises(DataError):
        corpus_of(study(data={"source": "bin", "files": str(tmp_path / "none")}))
