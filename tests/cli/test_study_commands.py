"""`plan`, `watch`, `serve` and `runs` from end to end, on studies whose trainer is a formula."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import fake_trainer
import pandas as pd
import pytest
import yaml
from small_study import study
from typer.testing import CliRunner

from hptransfer.cli import app
from hptransfer.study.run import run_study
from hptransfer.study.spec import StudySpec
from hptransfer.study.store import STORE_FILE


def invoke(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})
    return result.exit_code, result.output


def write_spec(folder: Path, spec: StudySpec) -> Path:
    path = folder / f"{spec.name}.yaml"
    path.write_text(yaml.safe_dump(spec.model_dump(mode="json")))
    return path


def finished_study(folder: Path, **changes: Any) -> Path:
    spec = study(**{"widths": [32, 64, 128], "targets": [256], **changes})
    write_spec(folder, spec)
    run_study(spec, folder / spec.name, train=fake_trainer.NAME)
    return folder / spec.name


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished study, its spec beside it."""
    return finished_study(tmp_path_factory.mktemp("studies"), name="first")


@pytest.fixture(scope="module")
def second(first: Path) -> Path:
    """The same with another seed."""
    return finished_study(first.parent, name="second", seeds=[1])


def cells(output: str, *, first_cell: str) -> list[str]:
    """The row of a printed table that begins with this cell."""
    rows = [re.split(r" {2,}", line.strip()) for line in output.splitlines()]
    (found,) = [row for row in rows if row[0] == first_cell]
    return found


def finished_runs(folder: Path) -> list[dict[str, str]]:
    with (folder / "runs.csv").open() as file:
        return list(csv.DictReader(file))


# plan


def test_a_plan_counts_runs_time_and_money(tmp_path: Path) -> None:
    spec = study(widths=[32, 64], targets=[256], seeds=[0, 1])
    stated = ("--flops-per-second", 1e9, "--price", 3.6e6, "--devices", 2)
    code, output = invoke("plan", write_spec(tmp_path, spec), "--out", tmp_path / "none", *stated)
    assert code == 0
    runs = len(spec.variants) * spec.lr.count * len(spec.seeds)
    assert cells(output, first_cell="32")[1:3] == [f"{runs}", "0"]
    row = cells(output, first_cell="all")
    assert row[1:3] == [f"{2 * runs}", "0"]
    seconds = float(row[3]) / 1e9
    money = re.search(r"money: ([\d,.]+) USD", output)
    assert money is not None
    assert float(money[1].replace(",", "")) == pytest.approx(seconds * 1000, rel=5e-3)
    assert re.search(r"time: .* of one device, about .* on 2 at a time \(given: 1e\+09", output)
    assert "What a budget would buy: the expected 95% interval of the optimum at 256" in output
    assert "since no run is finished" in output
    assert cells(output, first_cell="full grid")[1] == f"{2 * runs}"


def test_a_plan_of_a_finished_study_has_nothing_left_and_measures_its_rate(first: Path) -> None:
    code, output = invoke("plan", first.with_suffix(".yaml"), "--out", first, "--no-budget")
    assert code == 0
    count = str(len(finished_runs(first)))
    assert cells(output, first_cell="all")[1:3] == [count, count]
    assert f"measured on {count} finished runs in {first}" in output
    assert "What a budget would buy" not in output


def test_a_plan_judges_a_budget_by_the_finished_runs(first: Path) -> None:
    code, output = invoke("plan", first.with_suffix(".yaml"), "--out", first, "--flops-per-second", 1e9)
    assert code == 0
    assert "from the finished runs" in output
    assert cells(output, first_cell="full grid")[-1].endswith(" octaves")


@pytest.mark.parametrize("rate", [0, -1, "inf", "nan"])
def test_a_rate_must_be_positive(first: Path, rate: object) -> None:
    code, output = invoke("plan", first.with_suffix(".yaml"), "--flops-per-second", rate)
    assert (code, "must be positive" in output) == (2, True)


def test_an_adaptive_plan_says_that_it_grows(tmp_path: Path) -> None:
    spec = study(widths=[32, 64, 128], targets=[256], adaptive={"goal": "prediction"})
    arguments = ("--flops-per-second", 1e9, "--out", tmp_path / "none")
    code, output = invoke("plan", write_spec(tmp_path, spec), *arguments)
    assert code == 0
    assert "adaptive, goal: prediction" in output
    assert "decides its runs as results arrive" in output


# watch


def test_watch_shows_a_study_that_has_stopped_and_ends(first: Path) -> None:
    code, output = invoke("watch", first)
    assert code == 0
    runs = finished_runs(first)
    assert f"first: {len(runs)}/{len(runs)} runs" in output
    at_64 = [run for run in runs if (run["variant"], run["width"]) == ("mup", "64")]
    best = min(float(run["loss"]) for run in at_64)
    assert f"width 64 mup: {len(at_64)}/{len(at_64)}, best {best:.3f}" in output
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


# serve


def test_serve_answers_until_it_is_interrupted(first: Path) -> None:
    command = [sys.executable, "-u", "-m", "hptransfer", "serve", str(first), "--port", "0"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with (
        # A shell's background jobs ignore Ctrl-C; the server must not inherit that from the tests.
        subprocess.Popen(
            command, **pipes, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
        ) as server,
        ExitStack() as cleanup,
    ):
        cleanup.callback(server.kill)  # where an assertion fails, do not wait for it
        assert server.stdout is not None
        line = server.stdout.readline()
        found = re.fullmatch(rf"Serving {re.escape(str(first))} on (http://127\.0\.0\.1:\d+/); .*\n", line)
        assert found is not None
        with urllib.request.urlopen(found[1], timeout=60) as answer:
            assert "<title>first</title>" in answer.read().decode()
        with urllib.request.urlopen(found[1] + "state", timeout=60) as answer:
            assert '"state": "ended"' in answer.read().decode()
        server.send_signal(signal.SIGINT)
        rest, errors = server.communicate(timeout=60)
    assert (server.returncode, rest, errors) == (0, "The server has ended.\n", "")


# runs


def test_runs_list_has_a_row_for_each_study_and_a_line_for_each_trouble(
    first: Path, second: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / STORE_FILE).write_text("no database")
    code, output = invoke("runs", "list", first.parent)
    assert code == 0
    for folder in (first, second):
        runs = finished_runs(folder)
        diverged = sum(run["status"] == "diverged" for run in runs)
        row = cells(output, first_cell=str(folder))
        assert row[1:5] == [folder.name, str(len(runs) - diverged), str(diverged), "0"]
    assert f"{broken}: " in invoke("runs", "list", tmp_path)[1]
    assert invoke("runs", "list", broken / "..")[0] == 0
    (tmp_path / "empty").mkdir()
    assert invoke("runs", "list", tmp_path / "empty") == (0, f"There is no study in {tmp_path / 'empty'}.\n")


def test_runs_are_exported_as_tables(first: Path, second: Path, tmp_path: Path) -> None:
    count = len(finished_runs(first))
    code, output = invoke("runs", "export", first, "--to", tmp_path / "one.csv")
    assert (code, output) == (0, f"Wrote {count} runs to {tmp_path / 'one.csv'}.\n")
    assert (tmp_path / "one.csv").read_bytes() == (first / "runs.csv").read_bytes()
    assert invoke("runs", "export", first, second, "--to", tmp_path / "both.csv")[0] == 0
    both = pd.read_csv(tmp_path / "both.csv")
    assert dict(both["study"].value_counts()) == {"first": count, "second": len(finished_runs(second))}
    code, output = invoke("runs", "export", first, second, "--to", tmp_path / "both.records.csv")
    assert (code, "must be of one study" in output) == (2, True)


def test_runs_go_to_another_machine_as_a_record_table(
    first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hptransfer.study.record_import.corpus_of", lambda _: "no text was read")
    table, folder = tmp_path / "first.records.csv.gz", tmp_path / "there"
    assert invoke("runs", "export", first, "--to", table)[0] == 0
    command = ("runs", "import", table, "--into", folder, "--spec", first.with_suffix(".yaml"))
    count = len(finished_runs(first))
    assert invoke(*command) == (0, f"Added {count} finished runs to {folder}.\n")
    code, output = invoke(*command)
    assert (code, output) == (0, f"Added 0 finished runs to {folder}.\n{count} runs were there already.\n")
    assert invoke("report", folder)[0] == 0
    kept = [{k: v for k, v in run.items() if k != "round"} for run in finished_runs(folder)]
    assert kept == [{k: v for k, v in run.items() if k != "round"} for run in finished_runs(first)]


def test_studies_are_merged_into_one(first: Path, second: Path, tmp_path: Path) -> None:
    code, output = invoke("runs", "merge", first, second, "--into", tmp_path / "both")
    assert code == 0
    count = len(finished_runs(first)) + len(finished_runs(second))
    assert output.startswith(f"Merged {count} finished runs into {tmp_path / 'both'}.\n")
    assert invoke("report", tmp_path / "both")[0] == 0
    assert {run["seed"] for run in finished_runs(tmp_path / "both")} == {"0", "1"}


def test_studies_are_compared_in_tables_and_on_a_page(first: Path, second: Path, tmp_path: Path) -> None:
    page = tmp_path / "both.html"
    code, output = invoke("runs", "compare", first, second, "--target", 512, "--html", page)
    assert code == 0
    assert output.rstrip().endswith(f"wrote {page}")
    assert "Differences from first: sp, with 95% intervals from paired draws" in output
    for name in ("first: mup", "second: sp", "second: mup"):
        rows = [re.split(r" {2,}", line.strip()) for line in output.splitlines()]
        metrics = {row[1] for row in rows if row[0] == name and len(row) > 2}
        assert {"drift", "kappa"} <= metrics
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_curves_are_logged_once(first: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    command = ("runs", "log", first, "--to", "tensorboard", "--into", tmp_path)
    assert invoke(*command) == (0, f"Logged {len(finished_runs(first))} runs to tensorboard.\n")
    assert invoke(*command) == (0, "Logged 0 runs to tensorboard.\n")
    assert len(list(tmp_path.glob("*/events*"))) == len(finished_runs(first))
    assert invoke("runs", "log", first, "--to", "paper")[0] == 2
