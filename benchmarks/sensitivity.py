"""What halving and doubling each prior of `hptransfer.quantify.priors` does to predictions on the simulator.

    python benchmarks/sensitivity.py --studies 2 --minutes 8 --out sensitivity.csv

Every prior is changed alone, and the optimum at four times the largest scale is predicted for the same
simulated studies (`simulator.py`) as with the priors as they are. A study is one variant of a few scales with
one to three seeds. All runs in one process. Rows that are in `--out` are not run again, so that more studies
can be added. `--table` names the file of the resulting table.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import inspect
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from simulator import FAMILIES, HELD_OUT, REAL_LIKE, simulate

ROOT = Path(__file__).resolve().parents[1]
FIELDS = ("prior", "factor", "family", "seed", "truth", "value", "low", "high")
AS_IS = ("", "1")  # no prior changed
FACTORS = {"0.5": 0.5, "2": 2.0}
DRAWS = 200
FIRST_SEED = 330_000  # studies that no prior was settled on
Key = tuple[str, str, str, str]
Predictions = dict[tuple[str, str], tuple[float, float, float, float]]  # by family and seed


def changed(prior: Any, factor: float) -> Any:
    """A prior's value times a factor; whole numbers stay whole, of weights all but the first change."""
    if prior.name == "local_weights":
        return (prior.value[0], *(factor * weight for weight in prior.value[1:]))
    if isinstance(prior.value, tuple):
        return tuple(factor * value for value in prior.value)
    return max(int(factor * prior.value), 1) if isinstance(prior.value, int) else factor * prior.value


def quantify_with(name: str, factor: str) -> Any:
    """`hptransfer.fit.quantify` of a fresh import in which one prior, `GROUP.name`, is changed."""
    for module in [m for m in sys.modules if m.startswith(("hptransfer.quantify", "hptransfer.fit"))]:
        del sys.modules[module]
    priors = importlib.import_module("hptransfer.quantify.priors")
    for prior in priors.all_priors():
        if f"{prior.group}.{prior.name}" == name:
            object.__setattr__(priors.GROUPS[prior.group], prior.name, changed(prior, FACTORS[factor]))
    return importlib.import_module("hptransfer.fit").quantify


def predicted(quantify: Any, family: str, seed: int) -> tuple[float, ...]:
    """log2 eta* at the target in truth, and as predicted with its limits; NaN where there is none."""
    study = simulate(family, seed)
    fit = quantify(study.sweep.select("b"), targets=(study.truth.target,), holdout=0, draws=DRAWS)
    hp = fit.variants["b"].predictions[0].hp
    parts = (hp.value, hp.low, hp.high)
    return (study.truth.x_target, *(float(np.log2(p)) if p else float("nan") for p in parts))


def settings() -> list[tuple[str, str]]:
    priors = importlib.import_module("hptransfer.quantify.priors").all_priors()
    return [AS_IS, *((f"{p.group}.{p.name}", factor) for p in priors for factor in FACTORS)]


def run(out: Path, studies: int, minutes: float) -> list[dict[str, str]]:
    """Adds what is missing to a CSV, study by study with all settings each, and returns all of it."""
    rows = list(csv.DictReader(out.open(encoding="utf-8"))) if out.exists() else []
    known = {(r["prior"], r["factor"], r["family"], r["seed"]) for r in rows}
    stop = time.monotonic() + 60 * minutes
    with out.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        if not rows:
            writer.writeheader()
        for row in _missing(known, studies):
            writer.writerow(row)
            file.flush()
            rows.append(row)
            if time.monotonic() > stop:
                break
    return rows


def _missing(known: set[Key], studies: int) -> Iterator[dict[str, str]]:
    for seed in map(str, range(FIRST_SEED, FIRST_SEED + studies)):
        for name, factor in settings():
            todo = [f for f in (*FAMILIES, *REAL_LIKE, *HELD_OUT) if (name, factor, f, seed) not in known]
            quantify = quantify_with(name, factor) if todo else None
            for family in todo:
                numbers = predicted(quantify, family, int(seed))
                yield dict(zip(FIELDS, (name, factor, family, seed, *map(repr, numbers)), strict=True))


def scores(found: Predictions, base: Predictions) -> tuple[float, float, float, float] | None:
    """Coverage, the standard error of its change, median width and rmse, where both have a prediction."""
    both = [key for key in base if key in found and np.isfinite((*found[key], *base[key])).all()]
    if len(both) < 2:
        return None
    now, before = np.array([found[key] for key in both]), np.array([base[key] for key in both])
    held, held_before = ((x[:, 2] <= x[:, 0]) & (x[:, 0] <= x[:, 3]) for x in (now, before))
    change = held.astype(float) - held_before
    error = float(np.std(change, ddof=1) / np.sqrt(len(both)))
    rmse = float(np.sqrt(np.mean((now[:, 1] - now[:, 0]) ** 2)))
    return float(held.mean()), error, float(np.median(now[:, 3] - now[:, 2])), rmse


INTRODUCTION = """# The estimator's priors

Before it sees a run, the estimator takes some things for likely: how noisy runs are, what a basin looks
like, how far optima lie from their law. Here is every such number that was tuned, and what halving and
doubling it alone does to the prediction of the optimum at four times the largest scale.
`benchmarks/sensitivity.py` writes this page from `hptransfer/quantify/priors.py`.

Measured on {studies} simulated studies of
{families} families, one variant each, at least {least} of them for every row; {count} have a prediction.
With the priors as they are, 95% intervals hold {held:.3f} of the truths (standard error {single:.3f}),
their median width is {width:.3f} octaves and the rmse of the prediction is {rmse:.3f} octaves. The last
two columns give coverage, median width and rmse. Where the coverage changed, the standard error of the
change stands behind it: it is small where few studies change sides, since the studies are the same. A dash:
exactly as with the prior as it is. Six of the families do what real sweeps do (laws that turn, ragged right
sides). A prior without an effect here may have one on real sweeps, and numbers of rejections, flags and
suggested runs do not show in a prediction.

Published definitions (three decades for the sensitivity to the learning rate, 1.0025 for the
near-optimal band) are no priors and are not here.
"""
HEAD = "| prior | value | what it does | source | halved | doubled |\n| --- | --- | --- | --- | --- | --- |"


def table(rows: list[dict[str, str]]) -> str:
    """The page of the documentation."""
    priors = importlib.import_module("hptransfer.quantify.priors")
    by_setting: dict[tuple[str, str], Predictions] = defaultdict(dict)
    for row in rows:
        truth, value, low, high = (float(row[name]) for name in FIELDS[4:])
        by_setting[row["prior"], row["factor"]][row["family"], row["seed"]] = (truth, value, low, high)
    base = by_setting[AS_IS]
    held, _, width, rmse = scores(base, base) or (np.nan,) * 4
    count = sum(bool(np.isfinite(numbers).all()) for numbers in base.values())
    lines = [
        INTRODUCTION.format(
            studies=len(base),
            families=len({family for family, _ in base}),
            least=min(len(found) for found in by_setting.values()),
            count=count,
            held=held,
            single=np.sqrt(held * (1 - held) / count),
            width=width,
            rmse=rmse,
        )
    ]
    for group, values in priors.GROUPS.items():
        lines.append(f"## {group.replace('_', ' ').capitalize()}\n\n{inspect.getdoc(values)}\n\n{HEAD}")
        for prior in (p for p in priors.all_priors() if p.group == group):
            value = f"{_value(prior.value)} {prior.unit}".strip()
            cells = [_cell(by_setting[f"{group}.{prior.name}", factor], base) for factor in FACTORS]
            lines.append(f"| {' | '.join((f'`{prior.name}`', value, prior.effect, prior.source, *cells))} |")
        lines.append("")
    return "\n".join(lines)


def _value(value: Any) -> str:
    return ", ".join(f"{v:g}" for v in value) if isinstance(value, tuple) else f"{value:g}"


def _cell(found: Predictions, base: Predictions) -> str:
    if found and all(np.array_equal(found[key], base[key], equal_nan=True) for key in found):
        return "-"
    got = scores(found, base)
    if got is None:
        return "not run"
    change = f" ± {got[1]:.3f}" if got[1] else ""
    return f"{got[0]:.3f}{change}, {got[2]:.3f}, {got[3]:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=2, help="studies a family")
    parser.add_argument("--minutes", type=float, default=8.0, help="stop after so long; run again to go on")
    parser.add_argument("--out", type=Path, default=Path("sensitivity.csv"))
    parser.add_argument("--table", type=Path, default=ROOT / "docs" / "explanation" / "priors.md")
    args = parser.parse_args()
    rows = run(args.out, args.studies, args.minutes)
    args.table.write_text(table(rows), encoding="utf-8")
    print(f"{len(rows)} predictions; {args.table}")


if __name__ == "__main__":
    main()
