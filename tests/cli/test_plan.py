from __future__ import annotations

import re
from pathlib import Path

import pytest
from small_study import study
from tests.cli.study_commands import cells, finished_runs, invoke, write_spec

from hptransfer.words import duration


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
    assert re.search(r"time: .* of one device, about .* on 2 at a time \(given: 1e9 FLOP", output)
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


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.5, "0.5 s"),
        (99, "99 s"),
        (100, "1.7 min"),
        (3600, "60 min"),
        (6000, "1.7 h"),
        (71 * 3600, "71 h"),
        (72 * 3600, "3 days"),
        (1e9, "11,574 days"),
    ],
)
def test_durations_in_the_unit_one_would_say(seconds: float, text: str) -> None:
    assert duration(seconds) == text
