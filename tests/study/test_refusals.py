from __future__ import annotations

from importlib import util
from pathlib import Path

import numpy as np
import pytest
from small_study import study

from hptransfer.errors import DataError, StoreError
from hptransfer.study.refusals import check_startable


def test_text_that_is_not_there_or_does_not_suit_is_refused(tmp_path: Path) -> None:
    nowhere = study(data={"source": "text", "files": str(tmp_path / "*.txt")})
    with pytest.raises(DataError, match="must match at least one file"):
        check_startable(nowhere, tmp_path)
    np.full(9000, 900, dtype=np.uint16).tofile(tmp_path / "t.bin")
    tokens = {"source": "bin", "files": str(tmp_path / "t.bin")}
    with pytest.raises(DataError, match="every token must be below vocab"):
        check_startable(study(data=tokens, model={"vocab": 300}), tmp_path)
    with pytest.raises(DataError, match="the validation text must hold"):
        check_startable(study(data=tokens, model={"vocab": 1000}), tmp_path)


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="is a file; name another with --out"):
        check_startable(study(), tmp_path / "file")


def test_what_this_machine_lacks_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name: None if name in ("torch", "ray") else find(name))
    notes = check_startable(study(executor={"kind": "ray"}), tmp_path)
    assert [note.split("`")[1] for note in notes] == ["lm", "ray"]
