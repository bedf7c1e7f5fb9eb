from __future__ import annotations

from pathlib import Path

import pytest
from small_study import study
from tests.cli.study_commands import cells, invoke, write_spec

SCALE = {"width": [32, 64], "depth": [1, 2], "tokens": [5120, 10240], "batch_size": [4, 8]}


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = {"width": 256, "depth": 4, "tokens": 40960, "batch_size": 8}
    changes = {"widths": [], "train": {}, "scale": SCALE, "targets": [place], "adaptive": {}}
    folder = tmp_path_factory.mktemp("plan")
    path = write_spec(folder, study(variants=["mup"], **changes))
    code, output = invoke("plan", path, "--out", folder / "none", "--flops-per-second", 1e9)
    assert code == 0, output
    return output


def test_next_runs_are_named_by_size_and_learning_rate(output: str) -> None:
    heads = "variant  width  depth  params  batch  tokens  learning rates (muP coordinates)"
    assert heads in output
    assert cells(output, first_cell="mup") == [
        "mup",
        "32",
        "1",
        "47200",
        "4",
        "5120",
        "0.000244, 0.000977, 0.00391",
    ]


def test_a_budget_is_given_by_size(output: str) -> None:
    assert "interval of the optimum at width=256,depth=4,tokens=40960,batch_size=8" in output
    table = output.partition("Where each budget would go")[2].splitlines()
    heads = table[1].split()
    assert heads[:7] == ["width", "depth", "params", "batch", "tokens", "learning", "rates"]
    rows = [line.split() for line in table[2:] if line.strip()]
    runs = [int(line.split()[1]) for line in output.splitlines() if line.strip().startswith("adaptive ")]
    last = [0 if row[-1] == "-" else int(row[-1]) for row in rows]
    assert sum(last) == runs[-1]
    assert len(heads) - 7 == len(runs)


def test_a_grid_shows_every_size(tmp_path: Path) -> None:
    spec = study(widths=[], train={}, scale=SCALE, variants=["mup"])
    code, output = invoke("plan", write_spec(tmp_path, spec), "--no-budget", "--flops-per-second", 1e9)
    assert code == 0
    rows = [line.split() for line in output.splitlines() if line.strip().startswith(("32 ", "64 "))]
    assert len(rows) == 16
    assert {(row[0], row[1], row[3], row[6]) for row in rows} >= {("32", "1", "4", "5,120")}
    assert "for each size and variant" in output
