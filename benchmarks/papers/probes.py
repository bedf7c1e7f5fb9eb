"""Does a probe inside small runs foretell transfer? Sixteen parametrizations, each with its probes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import pandas as pd

from hptransfer.quantify.result import Estimate
from hptransfer.report import palette
from hptransfer.sweep.table import FloatArray
from papers.claims import Claim, Status, answers, not_run, scale_of
from papers.data import decays, spec_of, switches_of, table, the_sixteen
from papers.effects import mean_rank, spearman
from papers.page import KALRA, Page, axes_of, interval
from papers.parametrizations import measured

PAGE = "probes"
STUDY = "probes"
FORETOLD = ("R(n), nats", "cost of keeping, nats", "log10 E", "kappa")
SHUFFLES = 2000
SHOWN = 5  # probes in a table
Name = tuple[str, str]  # probe and role


@cache
def exponents() -> dict[Name, dict[str, float]]:
    """By probe and role, its exponent against width by rule; only those that every rule has."""
    frame = table(f"{STUDY}.exponents")
    assert frame is not None
    frame = frame.assign(role=frame["role"].fillna("run"))
    found: dict[Name, dict[str, float]] = {}
    for row in frame.to_dict("records"):
        name = (row["probe"], row["role"])
        found.setdefault(name, {})[row["variant"].split(" wd=")[0]] = float(row["exponent"])
    rules = set(the_sixteen())
    return {name: of for name, of in found.items() if rules <= {*of} and np.ptp([*of.values()]) > 0}


@cache
def targets(quantity: str) -> dict[str, float]:
    """What is to be foretold, by rule, from the study of all widths without decay."""
    return {rule: item.value for rule, item in measured(quantity, 0.0).items()}


@cache
def correlations(quantity: str) -> dict[Name, Estimate]:
    """Rank correlation of every probe's exponent with a quantity, the strongest first."""
    found = {name: spearman(of, targets(quantity)).estimate for name, of in exponents().items()}
    return dict(sorted(found.items(), key=lambda item: -abs(item[1].value or 0.0)))


def within(name: Name, quantity: str) -> Estimate:
    """The correlation among rules of a slow embedding and among those of a fast one, together."""
    groups = [[r for r in the_sixteen() if ("embd" in switches_of(r)) == fast] for fast in (False, True)]
    of, y = exponents()[name], targets(quantity)
    return mean_rank([spearman({r: of[r] for r in group}, y) for group in groups])


@cache
def chance(quantity: str) -> float:
    """How often the strongest of as many correlations would be so strong if rules were shuffled."""
    rules = [rule for rule in the_sixteen() if np.isfinite(targets(quantity).get(rule, np.nan))]
    of = np.array([_ranks([by[rule] for rule in rules]) for by in exponents().values()])
    y, rng = _ranks([targets(quantity)[rule] for rule in rules]), np.random.default_rng(0)
    strongest = np.abs(of @ y).max()
    shuffled = np.array([np.abs(of @ rng.permutation(y)).max() for _ in range(SHUFFLES)])
    return float((1 + np.sum(shuffled >= strongest - 1e-9)) / (1 + SHUFFLES))


def _ranks(values: list[float]) -> FloatArray:
    """Ranks about their mean, of length 1: their product is Spearman's correlation."""
    ranks = pd.Series(values).rank().to_numpy()
    ranks = ranks - ranks.mean()
    return np.asarray(ranks / np.linalg.norm(ranks))


@cache
def claims() -> list[Claim]:
    """The papers' open question, a quantity each."""
    words = "A probe in runs of widths up to 64 foretells"
    if table(f"{STUDY}.exponents") is None or 0.0 not in decays():
        return [Claim(KALRA, f"{words} {q}", "not run yet", "", "", PAGE) for q in FORETOLD]
    out = []
    for quantity in FORETOLD:
        (probe, role), item = next(iter(correlations(quantity).items()))
        p = chance(quantity)
        status: Status = "supported" if p < 0.05 else "not decidable at this scale"
        told = (
            f"strongest of {len(exponents())}: exponent of `{probe}` ({role}), rank correlation "
            f"{interval(item)}; as strong by chance: {p:.2g}"
        )
        case = quantity.removesuffix(", nats")
        out.append(Claim(KALRA, f"{words} transfer", status, told, scale_of(STUDY), PAGE, case))
    return out


def write() -> Page:
    """The page."""
    page = Page(PAGE, "Do probes foretell transfer?")
    page.claim(
        KALRA,
        "Open in both papers: which measurement inside small runs says beforehand whether a parametrization "
        "transfers?",
    )
    answers(page, claims())
    if table(f"{STUDY}.exponents") is None:
        not_run(page, STUDY)
        return page
    page.head("How it was tested")
    widths = ", ".join(map(str, _widths()))
    page.text(
        f"All 16 parametrizations at widths {widths} near the best learning rate, probed through training. "
        "Each probe's exponent against width is what is known beforehand; R(n), the cost of keeping, E and "
        "kappa are those of [the study of all widths](parametrizations.md) without decay. Over the 16 rules "
        "the two are compared by Spearman's rank correlation. With so many probes some correlate by chance: "
        f"so the strongest is held against the strongest of {SHUFFLES:,} shufflings of the rules. "
        "*At equal `embd`*: the same among the eight rules with a slow embedding and the eight with a fast "
        "one, together; it says whether a probe tells more than which of the two a rule has."
    )
    for quantity in FORETOLD:
        page.text(f"### {quantity.removesuffix(', nats')}")
        rows = [
            (f"`{probe}`", role, item, within((probe, role), quantity))
            for (probe, role), item in list(correlations(quantity).items())[:SHOWN]
        ]
        page.table(("probe", "of", "rank correlation of its exponent", "at equal `embd`"), rows)
    _figure(page)
    page.head("What would change it")
    page.text(
        "A correlation over 16 rules that are made of four switches mostly says which switch moves both: the "
        "embedding's relative update and R(n) are both set by `embd`. That is an explanation, not yet a "
        "forecast for rules outside this family. What hardly differs between these rules beside its own "
        "noise, such as the cost of keeping, cannot be foretold."
    )
    return page


def _widths() -> list[int]:
    spec = spec_of(STUDY)["spec"]
    assert isinstance(spec, Mapping)
    return list(spec["widths"])


def _colour(rule: str) -> str:
    return palette.ACCENT if "embd" in switches_of(rule) else palette.INK


def _figure(page: Page) -> None:
    figure, axes = axes_of(len(FORETOLD), width=9.0, height=2.6)
    for panel, quantity in zip(axes[0], FORETOLD, strict=True):
        (probe, role), _ = next(iter(correlations(quantity).items()))
        x = exponents()[probe, role]
        y = targets(quantity)
        for rule in the_sixteen():
            if rule in y:
                panel.plot(x[rule], y[rule], "o", ms=3.5, color=_colour(rule))
        panel.set_xlabel(f"exponent of {probe}\n({role})", fontsize=8)
        panel.set_title(quantity, fontsize=8, loc="left")
    page.figure(
        figure,
        "probes",
        "The probe that correlates most with each quantity; a point is a parametrization, orange with a fast "
        "embedding.",
    )
