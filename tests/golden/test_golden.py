"""Ten recorded tables give the numbers they gave when they were recorded; see `cases` for recording again."""

import csv
import json
import subprocess
import sys

import pytest
from tests.golden import cases, tables


def hold(name, now):
    found = sorted(cases.differences(cases.recorded(name), now, cases.allowed()))
    listed = "\n  ".join(found[:20])
    assert not found, f"{len(found)} differences from {name}.json, of which the first:\n  {listed}"


@pytest.fixture(scope="module")
def fits():
    return cases.fits()


@pytest.mark.parametrize("name", cases.CASES)
def test_a_fit_gives_the_recorded_numbers(name, fits):
    hold(name, fits[name])


FLAGS = {
    "initial_loss": "--no-suggest",
    "parameters": "--scale params --by method --loss val_loss --target 1e9 --target 1e10 --holdout 2 "
    "--no-suggest --family offset --filter 1.05 --draws 400",
}


@pytest.mark.parametrize("name", FLAGS)
def test_the_command_line_gives_the_recorded_numbers(name, tmp_path):
    out = tmp_path / "fit.json"
    command = [sys.executable, "-m", "hptransfer", "fit", cases.table(name), "--json", out]
    command += FLAGS[name].split()
    subprocess.run(command, check=True, capture_output=True, env=cases.environment())
    hold(name, json.loads(out.read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", tables.GENERATED)
def test_tables_are_what_their_generators_write(name):
    with open(cases.table(name), encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    made = tables.text_of(tables.GENERATED[name]())
    assert [list(row) for row in rows] == [list(row) for row in made]
    for row, other in zip(rows, made, strict=True):
        for cell, drawn in zip(row.values(), other.values(), strict=True):
            assert cell == drawn or float(cell) == pytest.approx(float(drawn), rel=1e-6)


def test_a_difference_is_named_with_its_path():
    before = {"a": [{"b": 1.0, "reason": "x"}], "c": None, "gone": 1, "version": "1"}
    now = {"a": [{"b": 1.0 + 3e-9, "reason": "y"}], "c": 0.0, "more": 1, "version": "2"}
    found = sorted(line.split(":")[0] for line in cases.differences(before, now))
    assert found == ["/a/0/b", "/c", "/gone", "/more"]
    near = {"a": [{"b": 1.0 + 3e-10, "reason": "y"}], "c": None, "gone": 1, "version": "2"}
    assert not list(cases.differences(before, near))
