"""Commands on studies whose trainer is a formula: what their tests share."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import fake_trainer
import yaml
from small_study import study
from typer.testing import CliRunner

from hptransfer.cli import app
from hptransfer.study.run import run_study
from hptransfer.study.spec import StudySpec


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


def cells(output: str, *, first_cell: str) -> list[str]:
    """The row of a printed table that begins with this cell."""
    rows = [re.split(r" {2,}", line.strip()) for line in output.splitlines()]
    (found,) = [row for row in rows if row[0] == first_cell]
    return found


def finished_runs(folder: Path) -> list[dict[str, str]]:
    with (folder / "runs.csv").open() as file:
        return list(csv.DictReader(file))
