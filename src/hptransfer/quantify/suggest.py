"""Which runs would settle what is not known: candidates are tried in simulation before one is offered.

A simulation draws the optima from their intervals, makes the candidate's runs from them (the fitted curve of
the nearest scale, and the noise of the runs at hand), and fits old and new runs together. The share of
simulations that end with a settled question is what the candidate promises.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from hptransfer.quantify.parallel import fit_variants
from hptransfer.quantify.priors import ADVICE
from hptransfer.quantify.result import Optimum, SuggestedRun, Suggestion, VariantFit, Verdict
from hptransfer.quantify.settings import MIN_DRAWS, Settings
from hptransfer.quantify.simulate import is_usable, simulated
from hptransfer.sweep.table import FloatArray, SweepTable
from hptransfer.words import scale_text


@dataclass(frozen=True)
class _Candidate:
    """Runs that may settle a question."""

    text: str
    runs: tuple[SuggestedRun, ...]
    price: float  # as a share of what was spent


def with_suggestions(
    sweep: SweepTable, variants: Mapping[str, VariantFit], settings: Settings
) -> dict[str, VariantFit]:
    """The fits with suggested runs for those that are undecided; for the first few where they are many."""
    out = dict(variants)
    undecided = [name for name, fit in variants.items() if fit.verdict.value == "undecided"]
    for place, name in enumerate(undecided[: ADVICE.advised_variants]):
        rng = np.random.default_rng([settings.seed, 6, place])
        found = suggest(sweep.select(name), variants[name], settings, rng)
        out[name] = replace(variants[name], verdict=replace(variants[name].verdict, suggested=found))
    return out


def suggest(sweep: SweepTable, fit: VariantFit, settings: Settings, rng: np.random.Generator) -> Suggestion:
    """The cheapest runs that are likely to settle an undecided variant, else those that are likeliest to.

    Args:
        sweep: the runs of that variant.
        fit: as fitted from them, in the same unit of loss.
        settings: of that fit.
        rng: source of the simulations.
    """
    if any("tolerance" in why for why in fit.verdict.keep.why):
        text = "no runs: the tolerance is no test of these losses; name the metric, or a smaller tolerance"
        return Suggestion((), None, None, False, text)
    best: tuple[float, _Candidate] | None = None
    for candidate in sorted(_candidates(sweep, fit), key=lambda c: c.price):
        settles = _settles(sweep, fit, settings, candidate, rng)
        if best is None or settles > best[0]:
            best = settles, candidate
        if settles >= ADVICE.settles_enough:
            break
    if best is None or best[0] < ADVICE.settles_least:
        text = "no runs: none that was tried in simulation is likely to settle it; live with the uncertainty"
        return Suggestion((), best[0] if best else None, None, False, text)
    settles, chosen = best
    return Suggestion(chosen.runs, settles, chosen.price, chosen.price <= ADVICE.most_price, chosen.text)


def _candidates(sweep: SweepTable, fit: VariantFit) -> Iterator[_Candidate]:
    """What may be tried: wider grids where an optimum is at an edge, other scales, more seeds, or both."""
    name, usable = sweep.columns.scale, [o for o in fit.optima if is_usable(o)]
    wider = [run for o in fit.optima if not is_usable(o) for run in _beyond(sweep, o)]
    if wider:
        yield _candidate(sweep, "a wider grid where the optimum is at an edge", wider)
    if not usable:
        return
    for scales in _other_scales(fit):
        runs = [run for scale in scales for run in _new_scale(sweep, usable, scale)]
        text = (
            f"{'another' if len(scales) == 1 else 'more'} {name}: {', '.join(scale_text(n) for n in scales)}"
        )
        yield _candidate(sweep, text, [*wider, *runs])
        fewest = ADVICE.more_seeds[0]
        seeds = [run for o in usable for run in _more_seeds(sweep, o, fewest)]
        repeated = [replace(run, seeds=fewest + 1) for run in runs]
        yield _candidate(
            sweep, f"{text}, and {fewest} more seeds near all optima", [*wider, *seeds, *repeated]
        )
    for more in ADVICE.more_seeds:
        seeds = [run for o in usable for run in _more_seeds(sweep, o, more)]
        yield _candidate(sweep, f"{more} more seeds near the optima", [*wider, *seeds])


def _other_scales(fit: VariantFit) -> list[tuple[float, ...]]:
    """Scales that may be added: one or two below the smallest, one above the largest, or one of each."""
    scale = np.array([o.scale for o in fit.optima])
    ratio = float(np.exp(np.median(np.diff(np.log(scale))))) if len(scale) > 1 else 2.0
    ratio = max(ratio, np.sqrt(2.0))
    whole = bool((scale == np.round(scale)).all())

    def at(power: int) -> float:
        n = (scale[-1] if power > 0 else scale[0]) * ratio**power
        return float(round(n)) if whole else float(f"{n:.3g}")

    sets = [(at(-1),), (at(-2), at(-1)), (at(1),), (at(-1), at(1))]
    least = ADVICE.least_whole_scale if whole else 0.0
    return [found for found in sets if min(found) >= min(least, scale[0]) and len(set(found)) == len(found)]


def _grid(sweep: SweepTable, scale: float) -> FloatArray:
    return np.unique(np.log2(sweep.hp[sweep.scale == scale]))


def _step(x: FloatArray) -> float:
    return float(np.median(np.diff(x))) if len(x) > 1 else 1.0


def _new_scale(sweep: SweepTable, usable: list[Optimum], scale: float) -> list[SuggestedRun]:
    """Seven values about where a line through the optima lies at that scale, on the grid that was used."""
    near = min(usable, key=lambda o: abs(np.log(o.scale / scale)))
    grid = _grid(sweep, near.scale)
    step = max(_step(grid), 0.5)
    t = np.log2([o.scale for o in usable])
    x = np.log2([o.hp.value or 1.0 for o in usable])
    at = float(np.polyval(np.polyfit(t, x, min(1, len(t) - 1)), np.log2(scale)))
    centre = grid[0] + step * round((at - grid[0]) / step)
    return [_run(sweep, scale, float(centre + step * i), 1) for i in range(-3, 4)]


def _more_seeds(sweep: SweepTable, o: Optimum, more: int) -> list[SuggestedRun]:
    """More seeds of the cells nearest the optimum of one scale."""
    grid = _grid(sweep, o.scale)
    nearest = np.argsort(np.abs(grid - np.log2(o.hp.value or 1.0)), kind="stable")[: ADVICE.seed_cells]
    return [_run(sweep, o.scale, float(x), more) for x in np.sort(grid[nearest])]


def _beyond(sweep: SweepTable, o: Optimum) -> list[SuggestedRun]:
    """Runs past the edge on which an optimum sits; beside the lowest run where its minimum was rejected."""
    rows = sweep.scale == o.scale
    finished = rows & ~sweep.diverged
    grid = _grid(sweep, o.scale)
    step = _step(grid)
    if not finished.any():
        return [_run(sweep, o.scale, float(grid[0] - step * i), 1) for i in (1, 2)]
    lowest = float(np.log2(sweep.hp[finished][np.argmin(sweep.loss[finished])]))
    inside = np.unique(np.log2(sweep.hp[finished]))
    if "at_edge" not in o.flags:
        left, right = inside[inside < lowest], inside[inside > lowest]
        ends = (left[-1] if len(left) else lowest - step, right[0] if len(right) else lowest + step)
        return [_run(sweep, o.scale, 0.5 * (lowest + float(end)), 1) for end in ends]
    side = -1 if lowest == inside[0] else 1
    lost = grid[grid > lowest] if side > 0 else grid[:0]
    if len(lost):
        step = float(lost[0] - lowest) / (ADVICE.edge_runs + 1)
    return [_run(sweep, o.scale, lowest + side * step * i, 1) for i in range(1, ADVICE.edge_runs + 1)]


def _run(sweep: SweepTable, scale: float, x: float, seeds: int) -> SuggestedRun:
    """A suggested run with its FLOPs, where they are known."""
    measured = _flops(sweep)
    return SuggestedRun(
        scale, float(np.exp2(x)), seeds, None if measured is None else _price(measured, scale) * seeds
    )


def _candidate(sweep: SweepTable, text: str, runs: list[SuggestedRun]) -> _Candidate:
    known = _flops(sweep)
    scales, counts = np.unique(sweep.scale, return_counts=True)
    each = known or {float(n): float(n / scales[-1]) ** 2 for n in scales}  # of the largest: no overflow
    spent = sum(each.get(float(n), 0.0) * count for n, count in zip(scales, counts, strict=True))
    price = sum(_price(each, run.scale) * run.seeds for run in runs)
    return _Candidate(text, tuple(runs), price / spent if spent else np.inf)


def _price(each: Mapping[float, float], scale: float) -> float:
    """Of one run: that of its own scale, else of the nearest times the square of the ratio."""
    near = min(each, key=lambda n: abs(np.log(n / scale)))
    return each[near] * (scale / near) ** 2


def _flops(sweep: SweepTable) -> dict[float, float] | None:
    """Of one run, by scale: measured where there are `flops`, else 6 x params x tokens; None if unknown."""
    extra = sweep.extra
    if "flops" in extra:
        one = extra["flops"]
    elif {"params", "tokens"} <= extra.keys():
        one = 6.0 * extra["params"] * extra["tokens"]
    else:
        return None
    known = np.isfinite(one) & (one > 0)
    return {
        float(n): float(np.median(one[known & (sweep.scale == n)])) for n in np.unique(sweep.scale[known])
    } or None


def _settles(
    sweep: SweepTable, fit: VariantFit, settings: Settings, candidate: _Candidate, rng: np.random.Generator
) -> float:
    """Share of simulations in which the variant is decided once the candidate's runs are made."""
    quick = replace(settings, draws=max(MIN_DRAWS, ADVICE.simulation_draws), reference=None)
    settled = 0
    for done in range(1, ADVICE.simulations + 1):
        (again,) = fit_variants(simulated(sweep, fit, candidate.runs, rng), quick).values()
        settled += is_settled(fit.verdict, again.verdict)
        if settled + ADVICE.simulations - done < ADVICE.settles_least * ADVICE.simulations:
            break  # it cannot be offered any more
    return settled / ADVICE.simulations


def is_settled(before: Verdict, after: Verdict) -> bool:
    """Whether the first question that was open is answered: keeping, else following the law."""
    if after.value != "undecided":
        return True
    return before.keep.value == "not known" and after.keep.value != "not known"
