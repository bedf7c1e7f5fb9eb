"""Printed logs: settings and losses as `lr=0.01 width=128 loss=3.2`, a line a run or a file a run."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from hptransfer.sweep.names import SCALES, hp_rank, loss_rank, rank
from hptransfer.sweep.raw_table import RawTable, columns_of, make_table
from hptransfer.sweep.runs import LoggedRun
from hptransfer.sweep.values import NUMBER, number

LOGS = (".log", ".out", ".txt", ".err")
MOST_BYTES = 50_000_000  # of one log that is searched without being asked to
# A name and its value, but no name before another's, as in `Overriding: n_embd = 128`.
PAIR = re.compile(
    r"(?<![\w./\-])[\"']?([A-Za-z_η][\w./\-]*)[\"']?\s*[=:]\s*[\"']?"
    r"([^\s,;|\"'=(){}\[\]]+)(?![^\s,;|\"'(){}\[\]]|\s*=)"
)
LOSS = re.compile(
    rf"\b((?:(?:val(?:idation)?|valid|eval(?:uation)?|test|train(?:ing)?)[ _/]?)?loss)\b"
    rf" {{0,8}}[:=]? {{0,8}}({NUMBER}|[-+]?nan|[-+]?inf)",
    re.IGNORECASE,
)


def pairs_of(line: str) -> dict[str, str]:
    """The values that a line gives names to: of `width=128 lr=1e-3 loss=3.2` three."""
    return dict(PAIR.findall(line))


def read_lines(text: str, name: str) -> RawTable | None:
    """A table of the lines that name a scale, a hyperparameter and a loss, each a run; None if not two do."""
    rows, numbers = [], []
    for i, line in enumerate(text[:MOST_BYTES].splitlines(), start=1):
        found = pairs_of(line)
        if len(found) > 2 and _says_all(found):
            rows.append(found)
            numbers.append(i)
    if len(rows) < 2:
        return None
    note = f"{name} is read as a printed log: {len(rows)} of its lines name what a run has, each is one"
    return replace(make_table(columns_of(rows), name, numbers), notes=(note,))


def _says_all(found: dict[str, str]) -> bool:
    return (
        any(hp_rank(key) is not None for key in found)
        and any(loss_rank(key) is not None for key in found)
        and any(rank(key, SCALES) is not None and hp_rank(key) is None for key in found)
    )


def read_log(path: Path, run: LoggedRun) -> None:
    """Adds the curves of losses in a log, and the settings where it first says them."""
    with open(path, "rb") as file:
        text = file.read(MOST_BYTES).decode("utf-8", errors="replace")
    for line in text.splitlines():
        losses = LOSS.findall(line)
        for metric, value in losses:
            run.curves.setdefault(re.sub(r"[ /]", "_", metric.lower()), []).append(_loss(value))
        if not losses:
            run.values = {**_settings(line), **run.values}
    if {loss_rank(metric) for metric in run.curves} > {loss_rank("loss")}:
        del run.curves["loss"]  # of a batch, beside one that was measured


def _loss(value: str) -> float:
    found = number(value)
    return float("nan") if found is None else found


def _settings(line: str) -> dict[str, Any]:
    found = pairs_of(line).items()
    return {key: value for key, value in found if hp_rank(key) is not None or rank(key, SCALES) is not None}
