"""Calls of a user's code: what it prints, leaves, breaks."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import own_trainer
import psutil
import pytest
from small_study import study

from hptransfer.errors import SpecError
from hptransfer.runs.config import RunRecord, RunSpec
from hptransfer.study.spec import StudySpec
from hptransfer.workers.user_code import command
from hptransfer.workers.user_code.command import run_user_code

HERE = Path(__file__).parent
SCRIPT = [sys.executable, str(HERE / "own_trainer.py")]


def spec_of(fault: str = "none", *more: str, **trial: Any) -> StudySpec:
    words = [*SCRIPT, fault, "{lr}", "{width}", "{seed}", *more]
    return study(trial={"kind": "command", "command": words, **trial})


def a_run(spec: StudySpec, index: int = 0) -> RunSpec:
    return spec.run("sp", 64, index, 0)


def call(spec: StudySpec, folder: Path, index: int = 0) -> RunRecord:
    return run_user_code(a_run(spec, index), spec.trial, folder / "own")


def test_the_last_json_line_that_has_a_loss_is_the_result(tmp_path: Path) -> None:
    spec = spec_of()
    record = call(spec, tmp_path)
    assert (record.status, record.run_id) == ("done", a_run(spec).run_id)
    assert record.loss == own_trainer.loss(a_run(spec).lr, 64)
    assert record.curve == ((1, 5.0), (2, 4.0))
    assert (record.tokens, record.wall_s > 0) == (a_run(spec).tokens, True)
    assert (tmp_path / "own" / "stdout.log").read_text().endswith("bye\n")


def test_a_file_is_a_result_too_and_an_old_one_is_not_taken_for_new(tmp_path: Path) -> None:
    spec = spec_of("none", "{result}")
    assert call(spec, tmp_path).loss == own_trainer.loss(a_run(spec).lr, 64)
    assert (tmp_path / "own" / "result.json").exists()
    assert call(spec_of("silent", "{result}"), tmp_path).status == "failed"


def test_a_loss_that_is_not_finite_is_a_diverged_run(tmp_path: Path) -> None:
    record = call(spec_of(), tmp_path, index=12)
    assert (record.status, math.isnan(record.loss)) == ("diverged", True)


@pytest.mark.parametrize(
    ("fault", "parts"),
    [
        ("garbage", ["JSON object with `loss`", "printed", "last"]),
        ("silent", ["JSON object with `loss`", "printed nothing"]),
        ("exit", ["exit code 1", "out of luck"]),
    ],
)
def test_what_gives_no_result_is_failed_with_one_clear_line(
    fault: str, parts: list[str], tmp_path: Path
) -> None:
    record = call(spec_of(fault), tmp_path)
    assert record.status == "failed"
    assert record.error is not None
    assert record.error.isprintable()
    for part in (*parts, str(tmp_path)):
        assert part in record.error


def test_a_command_that_hangs_is_ended_with_all_it_started(tmp_path: Path) -> None:
    record = call(spec_of("hang", "{folder}", timeout=1.0), tmp_path)
    assert record.status == "failed"
    assert "must end within 1 s" in str(record.error)
    lines = [" ".join(p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"])]
    assert not [line for line in lines if str(tmp_path) in line]


def test_a_flood_of_output_is_drained_capped_and_does_not_hide_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "LOG_CAP", 1 << 20)
    record = call(spec_of("flood"), tmp_path)
    assert record.status == "done"
    assert [(tmp_path / "own" / f"{name}.log").stat().st_size for name in ("stdout", "stderr")] == [
        1 << 20
    ] * 2


def test_a_worker_s_death_ends_the_command_and_what_it_started(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path[:0] = sys.argv[2:]; from pathlib import Path\n"
        "from test_command import call, spec_of; call(spec_of('hang'), Path(sys.argv[1]))"
    )
    paths = [str(HERE), str(HERE.parents[1] / "study")]
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path), *paths]) as worker:
        family: list[psutil.Process] = []
        deadline = time.monotonic() + 60
        while len(family) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
            family = psutil.Process(worker.pid).children(recursive=True)
        worker.kill()
    assert len(family) == 3  # the guard, the command, its own
    _, alive = psutil.wait_procs(family, timeout=30)
    assert alive == []


def test_a_program_or_folder_that_is_not_there_ends_the_study(tmp_path: Path) -> None:
    for trial, part in (
        ({"command": ["no-such-program", "{lr}"]}, "no-such-program: No such file"),
        ({"command": "true", "cwd": str(tmp_path / "absent")}, "`trial.cwd` must be a folder"),
    ):
        with pytest.raises(SpecError, match=part):
            call(study(trial={"kind": "command", **trial}), tmp_path)


def test_environment_and_working_directory_reach_the_command(tmp_path: Path) -> None:
    words = ["bash", "-c", 'echo "{{\\"loss\\": 1, \\"said\\": \\"$DATA $(pwd)\\"}}"']
    trial = {"kind": "command", "command": words, "environment": {"DATA": 7}, "cwd": str(tmp_path)}
    assert call(study(trial=trial), tmp_path).engine["result"] == {"said": f"7 {tmp_path}"}


def test_a_curve_diverges_as_the_trainer_s_own_does(tmp_path: Path) -> None:
    from hptransfer.lm.evaluate import Losses  # not at the top: a worker's process imports this file too
    from hptransfer.lm.evaluate import record as built_in_record

    curve = [5.0, 4.5, *[5.5] * 8]
    told = json.dumps({"loss": 4.0, "initial_loss": 5.0, "curve": list(enumerate(curve))})
    words = ["echo", told.replace("{", "{{").replace("}", "}}")]
    record = call(study(trial={"kind": "command", "command": words}), tmp_path)
    losses = Losses(np.array(curve), 5.0, (10,), np.array([[4.0]]))
    built_in = built_in_record(RunSpec(base_width=64, lr=0.1), losses, {}, 0.0)
    assert (
        (record.status, record.diverged_step) == (built_in.status, built_in.diverged_step) == ("diverged", 2)
    )
    assert math.isnan(record.loss)


@pytest.mark.parametrize(
    ("result", "status", "part"),
    [
        ('{"loss": 2.5}', "done", ""),
        ('{"loss": null}', "diverged", ""),
        ('{"loss": NaN}', "diverged", ""),
        ('{"loss": 3, "initial_loss": 2}', "diverged", ""),
        ('{"status": "diverged", "diverged_step": 3}', "diverged", ""),
        ('{"status": "failed", "error": "no GPU"}', "failed", "no GPU"),
        ('{"loss": "low"}', "failed", "`loss` of the result"),
        ('{"loss": 1, "curve": 3}', "failed", "`curve` of the result"),
        ('{"loss": 1, "tokens": -3}', "failed", "`tokens` of the result"),
    ],
)
def test_what_a_result_says(result: str, status: str, part: str, tmp_path: Path) -> None:
    record = call(
        study(trial={"kind": "command", "command": ["echo", result.replace("{", "{{").replace("}", "}}")]}),
        tmp_path,
    )
    assert record.status == status
    assert part in (record.error or "")


@pytest.mark.parametrize(
    ("name", "status", "part"),
    [
        ("train", "done", ""),
        ("number", "done", ""),
        ("everything", "done", ""),
        ("wants_more", "failed", "takes 'colour'; valid: "),
        ("raises", "failed", "on purpose"),
        ("absent", "failed", "absent"),
    ],
)
def test_a_function_is_given_what_it_names(name: str, status: str, part: str, tmp_path: Path) -> None:
    spec = study(trial={"kind": "function", "function": f"own_trainer:{name}", "cwd": str(HERE)})
    record = call(spec, tmp_path)
    assert record.status == status
    assert part in (record.error or "")
    if name == "train":
        assert record.loss == own_trainer.loss(a_run(spec).lr, 64)
        assert (record.params, record.engine["result"]) == (12 * 64 * 64, {"flavour": "plain"})
    if name == "everything":
        assert "lr_mup" in record.engine["result"]["seen"]


def test_where_the_study_s_folder_cannot_be_seen_a_temporary_one_serves(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    spec = spec_of("none", "{result}")
    assert run_user_code(a_run(spec), spec.trial, tmp_path / "file" / "own").status == "done"
    assert os.listdir(tmp_path) == ["file"]
