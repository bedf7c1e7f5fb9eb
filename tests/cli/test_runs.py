from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from tests.cli.study_commands import cells, finished_runs, invoke

from hptransfer.study.store import STORE_FILE


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
    assert invoke("runs", "list", broken / "..")[0] == 3
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


def test_one_study_is_compared_in_the_tables_of_its_report(first: Path) -> None:
    code, compared = invoke("runs", "compare", first, "--target", 512)
    answer = invoke("report", first, "--target", 512)[1].partition("\n\nWhy\n")[0]
    assert code == 0
    assert compared.startswith(answer)
    assert "Differences from sp, with 95% intervals from paired draws" in compared


def test_curves_are_logged_once(first: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    command = ("runs", "log", first, "--to", "tensorboard", "--into", tmp_path)
    assert invoke(*command) == (0, f"Logged {len(finished_runs(first))} runs to tensorboard.\n")
    assert invoke(*command) == (0, "Logged 0 runs to tensorboard.\n")
    assert len(list(tmp_path.glob("*/events*"))) == len(finished_runs(first))
    assert invoke("runs", "log", first, "--to", "paper")[0] == 2
