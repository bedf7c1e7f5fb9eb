"""Any result of a call is a record that a store takes, or one line; nothing hangs."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from small_study import study

from hptransfer.runs.config import RunRecord
from hptransfer.study.store import Store
from hptransfer.workers.user_code import command
from hptransfer.workers.user_code.command import EXTRA, OwnCodeError, run_user_code

SPEC = study(trial={"kind": "command", "command": "t"})
RUN = SPEC.run("sp", 64, 0, 0)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = tuple(command.Result.model_fields)


def taken(found: dict[str, Any], folder: Path) -> RunRecord | str:
    """The record, after a store has held it; or the line that refuses the result."""
    try:
        record = command._record(RUN, found, 1.0)
    except OwnCodeError as error:
        return str(error)
    with Store(folder) as store:
        store.begin(SPEC, {})
        store.add("stack", [(RUN, record)])
        assert store.records()[RUN.run_id].status == record.status
        assert store.runs()[0][0] == RUN
    return record


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=4), JSON, max_size=5))
@example({"loss": 1, "flops": float("inf")})
@example({"loss": 1, "tokens": 99999999999999999999999})
@example({"loss": 1, "curve": [[99999999999999999999999999, 1]]})
@example({"loss": 1, "curve": [[True, 1]]})
@example({"loss": 1, "diverged_step": -(10**22)})
@example({"status": "failed", "error": "\ud800 \x1b[2J\0 bad"})
@example({"loss": 1, "note": "\ud800", "\ud800": 1, "huge": 10**400, "inf": float("inf")})
@example({"loss": True})
@example({"loss": 10**5000})
def test_any_result_is_a_record_or_a_line(
    tmp_path_factory: pytest.TempPathFactory, found: dict[str, Any]
) -> None:
    said = taken(found, tmp_path_factory.mktemp("study"))
    if isinstance(said, str):
        assert "\n" not in said
        assert len(said) < 2000
        assert said.isprintable()


@pytest.mark.parametrize(
    "found",
    [
        {"loss": True},
        {"loss": 1, "params": False},
        {"loss": 1, "flops": float("nan")},
        {"loss": 1, "loss_se": float("inf")},
        {"loss": 1, "tokens": -1},
        {"loss": 1, "curve": [[0, 1]] * (command.CURVE + 1)},
    ],
)
def test_a_field_out_of_bounds_is_named(found: dict[str, Any], tmp_path: Path) -> None:
    said = taken(found, tmp_path)
    assert isinstance(said, str)
    assert "of the result" in said


def test_few_short_keys_more_are_kept(tmp_path: Path) -> None:
    more = {
        "note": "ok",
        "long": "x" * 10**6,
        "bad": "\ud800",
        "deep": [[1]],
        **{f"k{n}": n for n in range(1000)},
    }
    record = taken({"loss": 1.0, **more}, tmp_path)
    assert isinstance(record, RunRecord)
    assert record.engine["result"]["note"] == "ok"
    assert len(record.engine["result"]) == EXTRA
    assert not {"long", "bad", "deep"} & set(record.engine["result"])


LEFT = {
    "fifo": "os.mkfifo(path)",
    "folder": "os.mkdir(path)",
    "loop": "os.symlink(path, path)",
    "device": "os.symlink('/dev/zero', path)",
    "socket": "import socket; socket.socket(socket.AF_UNIX).bind(path)",
    "large": "open(path, 'w').truncate(200 << 20)",
    "empty": "open(path, 'w')",
}


@pytest.mark.parametrize("kind", LEFT)
def test_what_a_call_leaves_for_a_result_may_be_anything(kind: str, tmp_path: Path) -> None:
    script = tmp_path / "t.py"
    script.write_text(
        f"import os, sys\nos.chdir(os.path.dirname(sys.argv[1]))\npath = 'result.json'\n{LEFT[kind]}\n"
    )
    spec = study(
        trial={"kind": "command", "command": [sys.executable, str(script), "{result}"], "timeout": 60}
    )
    for _ in range(2):
        record = run_user_code(RUN, spec.trial, tmp_path / "own")
        assert record.status == "failed"
        assert "result" in str(record.error)


@pytest.mark.parametrize(
    "text", ['{"loss": 1, "loss": 2}', '{"loss": 1, "a": ' + "[" * 200 + "]" * 200 + "}"]
)
def test_a_printed_result_that_says_two_things_is_no_result(text: str) -> None:
    with pytest.raises(OwnCodeError, match="one thing"):
        command._json(text.encode())


def test_every_value_is_in_the_environment_too(tmp_path: Path) -> None:
    script = "import os, json; print(json.dumps({'loss': float(os.environ['HPTRANSFER_LR'])}))"
    folder = tmp_path / "a $(touch made) b"
    spec = study(
        trial={
            "kind": "command",
            "command": [sys.executable, "-c", script.replace("{", "{{").replace("}", "}}")],
        }
    )
    assert run_user_code(RUN, spec.trial, folder).loss == RUN.lr
    assert "made" not in os.listdir(tmp_path)
    assert json.dumps(RUN.lr)
