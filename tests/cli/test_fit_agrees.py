"""What `fit` prints is what its JSON holds, to the digits printed."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hptransfer.cli import app

TABLES = Path(__file__).parents[1] / "golden"
CASES = {
    "initial_loss": (),
    "no_seed": (),
    "edge": (),
    "two_rules": ("--coordinates", "sp"),
    "many_seeds": ("--level", "0.9"),
    "sgd": ("--optimizer", "sgd", "--coordinates", "sp"),
}
NUMBER = r"[+-]?[\d,]*\.?\d+(?:e[+-]?\d+)?"


@pytest.fixture(scope="module", params=CASES)
def fit(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, dict[str, Any]]:
    """What was printed, and the JSON."""
    out = tmp_path_factory.mktemp("fit") / "fit.json"
    arguments = ["fit", str(TABLES / f"{request.param}.csv"), "--target", "2048", "--json", str(out)]
    result = CliRunner().invoke(app, [*arguments, *CASES[request.param]], env={"COLUMNS": "250"})
    assert result.exit_code == 0, result.output
    return result.stdout, json.loads(out.read_text())


def printed_table(output: str, title: str) -> list[dict[str, str]]:
    """The rows of a printed table, by the names of its columns."""
    block = re.split(r"\n\s*\n", output.partition(f"\n{title}")[2])[0].splitlines()
    head, *rows = [line for line in block[1:] if not line.startswith((" ", "-"))]  # a wrapped row is indented
    names = re.findall(r"\S+(?: \S+)*", head)
    found = []
    for row in rows:
        cells = re.split(r" {2,}", row.strip())
        found.append(dict(zip(names, [*cells, *[""] * (len(names) - len(cells))], strict=True)))
    return found


def agree(text: str, *values: float | None) -> None:
    """The numbers of a cell are these values, to half a unit of the last digit printed."""
    if values[0] is None:
        assert text == "-"
        return
    numbers = re.findall(NUMBER, text.rpartition(" = ")[2])
    assert len(numbers) == len(values), text
    for number, value in zip(numbers, values, strict=True):
        shown = Decimal(number.replace(",", ""))
        unit = 10.0 ** int(shown.as_tuple().exponent)
        assert value is not None
        assert abs(float(shown) - value) <= 0.5001 * unit, (text, value)


def test_runs_and_diverged_runs(fit: tuple[str, dict[str, Any]]) -> None:
    output, document = fit
    said = r"^(\d+) runs of \d+ variants? over .*?(?:, (\d+) of them diverged)?\. Intervals"
    found = re.search(said, output, re.M)
    assert found is not None
    assert (int(found[1]), int(found[2] or 0)) == (document["runs"], document["diverged"])
    optima = [o for variant in document["variants"].values() for o in variant["optima"]]
    rows = printed_table(output, "Optimum at each")
    assert [row["diverged"] for row in rows] == [f"{o['diverged']} of {o['runs']}" for o in optima]
    assert sum(o["diverged"] for o in optima) == document["diverged"]


def test_optima(fit: tuple[str, dict[str, Any]]) -> None:
    output, document = fit
    optima = [o for variant in document["variants"].values() for o in variant["optima"]]
    rows = printed_table(output, "Optimum at each")
    assert len(rows) == len(optima)
    for row, optimum in zip(rows, optima, strict=True):
        agree(row["optimal lr"], optimum["hp"])
        agree(row["loss"], optimum["loss"])
        (interval,) = (row[name] for name in row if name.endswith("interval"))
        low, high = optimum["hp_low"], optimum["hp_high"]
        if low is None and high is not None:  # one-sided
            agree(interval.removeprefix("(0, "), high)
        else:
            agree(interval, *([None] if low is None else [low, high]))


def test_verdicts_predictions_and_metrics(fit: tuple[str, dict[str, Any]]) -> None:
    output, document = fit
    variants = document["variants"]
    answers = printed_table(output, "The answer")
    assert {row["variant"]: (row["keep?"], row["extrapolate?"]) for row in answers} == {
        name: (variant["verdict"]["keep"]["value"], variant["verdict"]["extrapolate"]["value"])
        for name, variant in variants.items()
    }
    for row in printed_table(output, "Prediction"):
        (prediction,) = variants[row["variant"]]["predictions"]
        agree(row["use lr"], prediction["hp_recommended"])
        agree(row["optimum"], prediction["hp"])
    metrics = {"E": "E", "kappa": "kappa", "R(inf)": "R_inf"}
    for row in printed_table(output, "Metrics"):
        for column, metric in metrics.items():
            found = variants[row["variant"]]["metrics"][metric]
            shown = re.findall(NUMBER, row[column])
            limits = [found["low"], found["high"]] if len(shown) > 1 else []
            agree(row[column], found["value"], *limits)
