"""The small study that these tests run, and how its tables are compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hptransfer.study.spec import StudySpec, parse_study


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
