"""Losses of runs: which cells mean that a run diverged, and which that there is no result."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hptransfer.errors import SweepError
from hptransfer.sweep.names import STATES, base_name, word_set
from hptransfer.sweep.raw_table import RawTable, floats, shown
from hptransfer.sweep.table import FloatArray
from hptransfer.sweep.values import number
from hptransfer.words import plural

# Texts of a diverged run beside numbers that are none (nan, inf) and blanks.
DIVERGED = word_set(
    "diverged diverge diverges divergence div div. overflow exploded explodes explosion unstable x ✗ "
    "✘ × ❌ ✖ ✕ 💥 blowup blow-up nan! infty ∞"
)  # fmt: skip
PLAIN = frozenset({"diverged", "divergence", "overflow", "", "nan", "none", "null", "na", "n/a", "-", "<na>"})
# Texts of a run that failed for a reason other than its loss: it says nothing of the hyperparameter.
FAILED = frozenset(
    {"oom", "out of memory", "cuda oom", "failed", "fail", "crashed", "crash", "timeout", "timed out",
     "killed", "error", "skipped", "not run", "tbd", "todo", "pending", "running", "?"}
)  # fmt: skip
ABOVE = re.compile(r"[>≥]=?\s*(.+)")  # a loss above a bound
UNFINISHED = frozenset({"running", "pending", "queued", "preempting", "created", "scheduled", "unfinished"})
BROKEN = frozenset({"crashed", "failed", "killed", "error", "fail"})


@dataclass(frozen=True)
class Losses:
    """The losses of a table's rows."""

    values: FloatArray  # NaN where the run diverged, shape [rows]
    kept: NDArray[np.bool_]  # rows with a result, shape [rows]
    notes: tuple[str, ...]  # what counted as diverged, and what was left out


def read_losses(table: RawTable, column: str, name: str, by_state: bool = True) -> Losses:
    """The losses in a column, with what each text that is no number stands for.

    Args:
        table: the runs.
        column: of the losses.
        name: of that column as the user says it.
        by_state: whether a column of run states (finished, crashed ...) says which rows are results.

    Raises:
        SweepError: where a cell is neither a number nor a text that is known.
    """
    values, strange = floats(table.columns[column])
    values, kept = values.copy(), np.ones(len(values), dtype=np.bool_)
    diverged: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for index in np.flatnonzero(strange).tolist():
        cell = table.columns[column][index]
        text = str(cell).strip().strip("*_~").strip()
        if text.lower() in FAILED:
            kept[index] = False
            failed[text] += 1
        elif text.lower() in DIVERGED or ((bound := ABOVE.fullmatch(text)) and number(bound[1]) is not None):
            diverged[text] += 1
        else:
            raise SweepError(
                f"{name} must be a number (nan, inf, diverged or blank for a diverged run), but "
                f"{table.place(index)} "
                f"has {name}={shown(cell)}; leave such rows out with --where"
            )
    for index in np.flatnonzero(np.isnan(values) & ~strange).tolist():
        cell = table.columns[column][index]
        if isinstance(cell, str):
            diverged[cell.strip()] += 1
    notes = [*_said(diverged, failed, name)]
    if by_state:
        kept, more = _finished(table, values, kept)
        notes += more
    if not kept.any():
        raise SweepError(f"at least one run must have finished, but {table.names[0]} has none with a {name}")
    return Losses(np.where(kept, values, np.nan), kept, tuple(notes))


def stands_for_none(cell: object) -> bool:
    """Whether a text says that a run diverged or failed, in place of its loss."""
    text = str(cell).strip().strip("*_~").strip()
    bound = ABOVE.fullmatch(text)
    return text.lower() in DIVERGED | FAILED or (bound is not None and number(bound[1]) is not None)


def _said(diverged: Counter[str], failed: Counter[str], name: str) -> list[str]:
    notes = []
    if any(text.lower() not in PLAIN for text in diverged):
        listed = ", ".join(f"{text or 'blank'} ({count})" for text, count in diverged.items())
        notes.append(f"runs count as diverged where {name} is {listed}")
    if failed:
        listed = ", ".join(f"{text} ({count})" for text, count in failed.items())
        notes.append(
            f"runs are left out where {name} is {listed}: these failed, which says nothing of their loss"
        )
    return notes


def _finished(
    table: RawTable, values: FloatArray, kept: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], list[str]]:
    """Which rows are results by a column of states: finished runs, and broken ones whose loss is none."""
    column = next((c for c in table.columns if base_name(c).lower() in STATES), None)
    if column is None:
        return kept, []
    states = np.array([str(cell).strip().lower().rpartition(".")[2] for cell in table.columns[column]])
    known = (
        UNFINISHED | BROKEN | {"finished", "completed", "complete", "success", "terminated", "done"}
    )  # terminated is Ray's finished
    if not set(states.tolist()) <= known or not (set(states.tolist()) & (UNFINISHED | BROKEN)):
        return kept, []
    broken = np.isin(states, list(BROKEN))
    unfinished = np.isin(states, list(UNFINISHED))
    diverged, stopped = broken & ~np.isfinite(values), broken & np.isfinite(values)
    notes = []
    if diverged.any():
        notes.append(
            f"counted as diverged: {plural(int(diverged.sum()), 'run')} with {column} "
            f"{_states(states[diverged])} and no loss"
        )
    if (stopped | unfinished).any():
        out = stopped | unfinished
        notes.append(
            f"left out: {plural(int(out.sum()), 'run')} with {column} {_states(states[out])}, stopped before "
            f'the end; --where "{column} != none" keeps them'
        )
    return kept & ~stopped & ~unfinished, notes


def _states(states: NDArray[np.str_]) -> str:
    return " or ".join(sorted(set(states.tolist())))
