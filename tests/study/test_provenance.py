from __future__ import annotations

import json
import platform
import re
import subprocess
from pathlib import Path

import pytest
from small_study import study

from hptransfer.study import provenance as module
from hptransfer.study.provenance import commit, cpu_model, provenance
from hptransfer.version import __version__
from hptransfer.workers.environment import cores


def test_a_session_says_what_it_ran_on_as_plain_data() -> None:
    spec = study(seeds=[3, 5])
    found = provenance(spec)
    assert json.loads(json.dumps(found)) == found
    assert (found["study"], found["spec_hash"], found["seeds"]) == ("small", spec.spec_hash, [3, 5])
    assert (found["hptransfer"], found["python"]) == (__version__, platform.python_version())
    assert (found["cores"], found["cpu"]) == (cores(), cpu_model())
    assert found["torch"] is None or re.match(r"\d+\.\d+", found["torch"])


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=n", "-c", "user.email=e")
    return subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def test_the_commit_is_the_source_s_own_and_says_where_it_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "provenance.py"
    source.write_text("first")
    monkeypatch.setattr(module, "__file__", str(source))
    assert commit() is None  # no checkout
    git(tmp_path, "init", "-q")
    assert commit() is None  # in somebody's checkout, but not tracked there
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert commit() == head
    source.write_text("second")
    assert commit() == f"{head}-dirty"


def test_a_processor_without_a_list_of_the_system_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda *_: "vendor: x\nmodel name\t: A CPU @ 2 GHz \n")
    assert cpu_model() == "A CPU @ 2 GHz"

    def fail(*_: object) -> str:
        raise OSError

    monkeypatch.setattr(Path, "read_text", fail)
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert cpu_model() == platform.machine()
