"""The small study that these tests run, and how its tables are compared."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import fake_trainer

from hptransfer.study.planner import plan
from hptransfer.study.spec import StudySpec, parse_study
from hptransfer.study.stacks import Stack

WIDTHS = [32, 64, 128, 256]  # of the adaptive study


def study(**changes: Any) -> StudySpec:
    """Its grid, in muP coordinates 2^-12 to 2^-7, ends left of the fake trainer's optimum at 2^-6."""
    plain = {
        "name": "small",
        "variants": ["sp", "mup"],
        "widths": [32, 64],
        "lr": {"low": "2^-12", "high": "2^-7"},
        "train": {"steps": 10},
        "workers": 2,
        "trial": {"backoff": 0.02},
    }
    return parse_study({**plain, **changes})


def without_wall_times(csv: Path) -> list[str]:
    lines = csv.read_text().splitlines()
    assert lines[0].endswith(",wall_s")
    return [line.rpartition(",")[0] for line in lines]


def adaptive_study(**changes: Any) -> StudySpec:
    """The adaptive study that these tests plan."""
    plain = {
        "widths": WIDTHS,
        "seeds": [0, 1, 2],
        "targets": [1024],
        "lr": {"low": "2^-12", "high": "2^-2"},
        "adaptive": {"precision": 0.6},
    }
    return study(**{**plain, **changes})


def finish(stacks: list[Stack]) -> dict[str, float]:
    """Loss of every run by id, as the fake trainer has it; infinite where diverged."""
    losses = {r.run_id: fake_trainer.loss(r.spec) for s in stacks for r in s.runs}
    return {k: math.inf if math.isnan(v) else v for k, v in losses.items()}


def finished(spec: StudySpec) -> tuple[list[Stack], dict[str, float]]:
    """The whole plan of a study whose every run is finished, and the losses."""
    losses: dict[str, float] = {}
    while True:
        stacks = plan(spec, losses)
        if len(found := finish(stacks)) == len(losses):
            return stacks, losses
        losses = found
