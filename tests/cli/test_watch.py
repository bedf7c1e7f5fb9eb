from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.cli.study_commands import finished_runs, invoke

from hptransfer.study.store import STORE_FILE
from hptransfer.words import loss_text


def test_watch_shows_a_study_that_has_stopped_and_ends(first: Path) -> None:
    code, output = invoke("watch", first)
    assert code == 0
    runs = finished_runs(first)
    assert f"first: {len(runs)}/{len(runs)} runs" in output
    at_64 = [run for run in runs if (run["variant"], run["width"]) == ("mup", "64")]
    best = min(float(run["loss"]) for run in at_64)
    assert f"\nwidth 64 mup: {len(at_64)}/{len(at_64)}, best {loss_text(best)}" in output
    assert output.rstrip().endswith("`hptransfer run` command resumes it.")


def test_watch_follows_a_running_study_until_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The study runs in a process of its own, which ends while it is watched."""
    monkeypatch.setenv("FAKE_STEP_S", "0.05")
    code = (
        "import sys; from pathlib import Path; from small_study import study\n"
        "from hptransfer.study.run import run_study\n"
        "if __name__ == '__main__':\n"
        "    run_study(study(), Path(sys.argv[1]), train='fake_trainer:train')\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, env=environment) as running, ExitStack() as cleanup:
        cleanup.callback(running.kill)  # where an assertion fails, do not wait for it
        while not (tmp_path / "progress.json").exists():
            assert running.poll() is None
        status, output = invoke("watch", tmp_path, "--every", 0.1)
        assert running.wait(60) == 0
    assert status == 0
    finished = [int(found) for found in re.findall(r"small: (\d+)/\d+ runs", output)]
    assert len(finished) > 1
    assert finished == sorted(finished)
    assert finished[-1] == len(finished_runs(tmp_path))
    assert "elapsed" in output


def test_watch_and_serve_refuse_a_folder_without_a_study(tmp_path: Path) -> None:
    for command in ("watch", "serve"):
        code, output = invoke(command, tmp_path)
        assert (code, len(output.splitlines())) == (2, 1)
        assert f"must hold {STORE_FILE}" in output
