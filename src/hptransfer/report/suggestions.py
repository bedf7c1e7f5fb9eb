"""Suggested runs in sentences: what to run next, with what it promises and costs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from hptransfer.quantify.result import Estimate, SuggestedRun, SweepFit, VariantFit
from hptransfer.report import number_format
from hptransfer.report.sentences import listed
from hptransfer.words import percent, rough

_MOST_GROUPS = 3  # of runs named; the rest is counted
_MOST_VALUES = 4  # of a hyperparameter named one by one; more are a range
_SAME_STEP = 0.02  # octaves by which steps of a range may differ


def suggestion(fit: SweepFit, variant: VariantFit) -> str:
    """What to run next, with what it promises and costs; empty where there is nothing to settle."""
    found = variant.verdict.suggested
    if found is None:
        return ""
    if not found.runs:
        return f"Suggested: {found.text}."
    settles, price = found.settles or 0.0, found.cost_share or 0.0
    odds = f"In simulation this settles it in {number_format.percent(settles)} of cases, for {_price(price)}"
    offer = f"Suggested: {found.text}. {odds}"
    if found.worth:
        return f"{offer}: {runs_in_words(found.runs, fit)}."
    runs = number_format.plural(sum(run.seeds for run in found.runs), "run")
    return f"{offer} ({runs}, in the JSON): it may be better to live with the uncertainty."


def _price(share: float) -> str:
    """`22% of what was spent`, `3 times what was spent`."""
    if rough(share, 2) == "1":
        return "as much as was spent"
    part = f"{percent(share)} of" if share < 1 else f"{rough(share, 2)} times"
    return f"{part} what was spent"


def runs_in_words(runs: Iterable[SuggestedRun], fit: SweepFit) -> str:
    """`width 64 and 128 at lr = 0.0110, 0.0221 (3 seeds each, 2.4e12 FLOPs)`: runs that are alike together.

    Where there are many kinds, the cheapest are named and the others counted.
    """
    by_scale: dict[tuple[float, int], list[SuggestedRun]] = defaultdict(list)
    for run in runs:
        by_scale[run.scale, run.seeds].append(run)
    alike: dict[tuple[str, int], list[SuggestedRun]] = defaultdict(list)
    for (_, seeds), group in by_scale.items():
        alike[_values(sorted(run.hp for run in group)), seeds] += group
    columns, parts = fit.sweep.columns, []
    for (values, seeds), group in list(alike.items())[:_MOST_GROUPS]:
        scales = listed([number_format.scale(n) for n in sorted({run.scale for run in group})])
        flops = sum(run.flops or 0.0 for run in group)
        cost = f", {rough(flops, 2)} FLOPs" if flops else ""
        each = f"{number_format.plural(seeds, 'seed')}{' each' if len(group) > 1 else ''}{cost}"
        parts.append(f"{columns.scale} {scales} at {columns.hp} = {values} ({each})")
    rest = sum(run.seeds for group in list(alike.values())[_MOST_GROUPS:] for run in group)
    more = f"; and {number_format.plural(rest, 'run')} more, which the JSON lists" if rest else ""
    return "; ".join(parts) + more


def _values(values: Sequence[float]) -> str:
    """`0.0110, 0.0221`, or `0.00100 to 0.0640, each 2 times the last` where there are many."""
    steps = np.diff(np.log2(values))
    first, *_, last = named = [number_format.decimal(Estimate(value)) for value in (values[0], *values)]
    if len(values) > _MOST_VALUES and np.ptp(steps) < _SAME_STEP:
        return f"{first} to {last}, each {rough(2 ** float(np.mean(steps)))} times the last"
    return ", ".join(named[1:])
