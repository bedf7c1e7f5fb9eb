"""Judge predictions on real series: public ones and the corpus, each project by what the others taught.

    python benchmarks/real.py [--out real.csv]

Every cut of every series that leaves three scales is predicted at the scales above it, all variants of its
project in one table, as a person would have had them. A prediction holds
when what was found lies within its interval (`strict`), or within the error of both (`holds`): what was
found has an error of its own. `cost` is the mean loss above the best at the value recommended, 1e-3 nats,
read off the runs of that scale. The simple methods: a line through the parabola vertices of every scale, the
vertex of the largest scale kept, the mean of both, and a line through the lowest runs. Shown one step of
scale ahead (the next scale that was run, at most 1.6 octaves), and all.
"""

from __future__ import annotations

import argparse
import multiprocessing as mp
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from hptransfer.fit import quantify
from hptransfer.quantify.basin.cells import Cells, cells_of
from hptransfer.quantify.result import Estimate, Prediction
from learn import as_priors, every_example, learned, sweep_of, using
from real_groups import Example, Group
from real_series import CORPUS, Case, Series, corpus_series, truth_at

NEXT = 1.6  # octaves ahead that count as the next scale
SIMPLE = ("line", "keep", "mean", "argmin")
NORMAL = 1.96
WARM = 20  # steps of learning from where all projects lead


def log2(value: float | None) -> float:
    """Octaves; NaN where there is no value."""
    return float(np.log2(value)) if value else float("nan")


def three(estimate: Estimate) -> tuple[float, float, float]:
    """Value and limits in octaves."""
    return log2(estimate.value), log2(estimate.low), log2(estimate.high)


def simple_predictions(cells: Cells, target: float, moved: float = 0.0) -> dict[str, float]:
    """Of each simple method, log2 eta; NaN where it has none.

    `moved` octaves is what the value kept becomes at the target in the coordinates of x.
    """
    at, lowest = [], []
    for k in range(len(cells.scale)):
        usable = cells.usable[k]
        x, loss = cells.x[k, usable], cells.loss[k, usable]
        best = int(np.argmin(loss)) if len(x) else 0
        inside = 0 < best < len(x) - 1
        lowest.append(x[best] if len(x) else np.nan)
        at.append(_parabola(x[best - 1 : best + 2], loss[best - 1 : best + 2]) if inside else np.nan)
    t = np.log2(cells.scale)
    line, keep = _line(t, np.array(at), np.log2(target))
    argmin, _ = _line(t, np.array(lowest), np.log2(target))
    keep += moved
    return {"line": line, "keep": keep, "mean": (line + keep) / 2, "argmin": argmin}


def _parabola(x: np.ndarray, loss: np.ndarray) -> float:
    u = x - x[1]
    bend, slope, _ = np.polyfit(u, loss, 2)
    return float(x[1] - slope / (2 * bend))


def _line(t: np.ndarray, x: np.ndarray, target: float) -> tuple[float, float]:
    """A line's value at the target, and the last value kept."""
    known = np.isfinite(x)
    if not known.any():
        return float("nan"), float("nan")
    keep = float(x[known][-1])
    if known.sum() < 2:
        return keep, keep
    return float(np.polyval(np.polyfit(t[known], x[known], 1), target)), keep


def judged(group: Group) -> list[dict[str, float | str]]:
    """The predictions asked of one table beside what was found."""
    targets = tuple(sorted({case.truth.scale for case in group.cases}))
    fit = quantify(group.sweep(), targets=targets, holdout=0, coordinates=group.coordinates)
    cells = {c.variant: c for c in cells_of(group.sweep())}
    rows = []
    for case in group.cases:
        name = case.series.name
        predicted = fit.variants[name].predictions[targets.index(case.truth.scale)]
        if predicted.hp.value is not None:  # it has laws
            rows.append(_row(case, predicted, cells[name]))
    return rows


def _row(case: Case, predicted: Prediction, cells: Cells) -> dict[str, float | str]:
    truth = case.truth
    value, low, high = three(predicted.hp)
    recommended = log2(predicted.hp_recommended)
    row: dict[str, float | str] = {
        "project": case.series.project,
        "kind": "corpus" if CORPUS.joinpath(f"{case.series.project}.csv.gz").exists() else "public",
        "series": case.series.name,
        "scales": float(len(cells.scale)),
        "ahead": case.ahead,
        "error": value - truth.x,
        "width": high - low,
        "strict": float(low <= truth.x <= high),
        "holds": float(abs(value - truth.x) <= NORMAL * np.hypot((high - low) / (2 * NORMAL), truth.sd)),
        "cost": truth.cost_at(recommended),
    }
    row["holds"] = max(row["holds"], row["strict"])  # type: ignore[type-var]
    # Who keeps a value keeps what he sets.
    moved = -(case.series.own or 0) * case.ahead
    for name, x in simple_predictions(cells, truth.scale, moved).items():
        row |= {f"error {name}": x - truth.x, f"cost {name}": truth.cost_at(x)}
    return row


def optima(series: Series) -> list[dict[str, float | str]]:
    """The optima of the measured scales of a corpus series beside what all seeds say."""
    fit = quantify(sweep_of(series.runs), holdout=0).variants["v"]
    rows: list[dict[str, float | str]] = []
    for found in fit.optima:
        truth = truth_at(series.every, found.scale)
        value, low, high = three(found.hp)
        if truth is None or not np.isfinite([value, low, high]).all():
            continue
        strict = low <= truth.x <= high
        near = abs(value - truth.x) <= NORMAL * np.hypot((high - low) / (2 * NORMAL), truth.sd)
        rows.append(
            {
                "project": series.project,
                "error": value - truth.x,
                "width": high - low,
                "strict": float(strict),
                "holds": float(strict or near),
            }
        )
    return rows


def markdown(rows: pd.DataFrame) -> str:
    """What docs/explanation/accuracy.md shows: a line a project, and one for all of a kind."""
    lines = [
        "| sweeps | predictions | holds | strictly | median width | rms error | line | keep | mean | grid |",
        "| --- " * 10 + "|",
    ]
    groups = [(f"**all {kind}**", part) for kind, part in rows.groupby("kind")]
    groups += [(str(project), part) for (_, project), part in rows.groupby(["kind", "project"])]
    for name, part in groups:
        simple = " | ".join(f"{rms(part[f'error {other}']):.2f}" for other in SIMPLE)
        lines.append(
            f"| {name} | {len(part)} | {part['holds'].mean():.2f} | {part['strict'].mean():.2f} | "
            f"{part['width'].median():.2f} | {rms(part['error']):.2f} | {simple} |"
        )
    return "\n".join(lines)


def rms(error: pd.Series) -> float:
    return float(np.sqrt((error**2).mean()))


def summary(rows: pd.DataFrame) -> pd.Series:
    """One line of the table."""
    line: dict[str, float] = {
        "n": len(rows),
        "holds": rows["holds"].mean(),
        "strict": rows["strict"].mean(),
        "width": rows["width"].median(),
        "rms": rms(rows["error"]),
        "median": rows["error"].abs().median(),
    }
    for name in SIMPLE:
        line[f"rms {name}"] = rms(rows[f"error {name}"])
    # A value outside the runs of a scale has no known cost: only cases where every method has one are
    # compared.
    costs = rows[["cost", *(f"cost {name}" for name in SIMPLE)]].dropna()
    return pd.Series(line | {name: 1e3 * costs[name].mean() for name in costs})


def table(rows: pd.DataFrame) -> str:
    """By project and over all of a kind."""
    parts = [rows.groupby("project").apply(summary, include_groups=False)]
    for kind, part in rows.groupby("kind"):
        parts.append(summary(part).to_frame(f"all {kind}").T)
    return str(pd.concat(parts).round(3).to_string())


def left_out(tables: Sequence[Group], every: Sequence[Example], jobs: int) -> list[dict[str, float | str]]:
    """Every table judged with its project left out of what is learned, projects dealt out to processes."""
    whole = learned(every)
    projects = sorted({group.project for group in tables})
    with mp.get_context("fork").Pool(jobs, _keep, (tables, every, whole)) as pool:
        return [row for rows in pool.imap(judged_alone, projects) for row in rows]


def judged_alone(project: str) -> list[dict[str, float | str]]:
    """The tables of a project, by what the others taught."""
    tables, every, whole = KEPT
    others = [e for e in every if e.case.series.project != project]
    with using(as_priors(learned(others, whole, WARM))):
        return [row for group in tables if group.project == project for row in judged(group)]


# Of a process: every table, every example, and what they teach together.
KEPT: tuple[Sequence[Group], Sequence[Example], Any] = ((), (), None)


def _keep(tables: Sequence[Group], every: Sequence[Example], whole: Any) -> None:
    global KEPT
    KEPT = (tables, every, whole)
    torch.set_num_threads(1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="every prediction as CSV")
    parser.add_argument(
        "--as-shipped", action="store_true", help="with the numbers in priors.py, learned from all"
    )
    parser.add_argument(
        "--alone", action="store_true", help="every series in a table of its own, its coordinates unknown"
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    options = parser.parse_args()
    torch.set_default_dtype(torch.float64)
    tables, every = every_example()
    if options.alone:
        tables = [single for table in tables for single in table.alone()]
    by_table = [row for group in tables for row in judged(group)] if options.as_shipped else None
    rows = pd.DataFrame(by_table or left_out(tables, every, options.jobs))
    if options.out:
        rows.to_csv(options.out, index=False, float_format="%.5g")
    print(markdown(rows[rows["ahead"] <= NEXT]))
    print(f"\nnext scale (at most {NEXT} octaves ahead)\n{table(rows[rows['ahead'] <= NEXT])}")
    print(f"\nevery scale ahead\n{table(rows)}")
    near = rows.assign(octaves=rows["ahead"].round().clip(1, 4)).groupby(["kind", "octaves"])
    print("\nby distance\n" + near.apply(summary, include_groups=False).round(3).to_string())
    found = pd.DataFrame([row for series in corpus_series() for row in optima(series)])
    if len(found):
        print("\noptima of measured scales, corpus")
        print(found.groupby("project")[["holds", "strict", "width"]].mean().round(3).to_string())
        print(f"all: {len(found)}, holds {found.holds.mean():.3f}, strict {found.strict.mean():.3f}, "
              f"median width {found.width.median():.3f}, rms {rms(found.error):.3f}")  # fmt: skip


if __name__ == "__main__":
    main()
