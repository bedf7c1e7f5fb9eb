"""What E and kappa are: which definition gives the order and the effects that arXiv:2605.21486 published?"""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

from hptransfer.quantify.result import Estimate
from hptransfer.report import palette
from papers import kappa
from papers.candidates import CANDIDATES, log10_error, share_up_the_cliff
from papers.claims import not_run
from papers.data import Fitted, decays, fit_frame, published, table, the_sixteen, variant_of
from papers.effects import MAIN, Effect, Rank, effects, mean_rank, spearman
from papers.page import KALRA, Cell, Page, axes_of, forest, interval, legend_below
from papers.parametrizations import in_print, seeds_of, study, theirs

PAGE = "what-e-is"
TODAY = next(iter(CANDIDATES))


@cache
def errors(candidate: str, decay: float) -> dict[str, float]:
    """log10 of a candidate by rule."""
    return {rule: log10_error(study(), variant_of(rule, decay), candidate) for rule in the_sixteen()}


@cache
def rank(candidate: str, decay: float) -> Rank:
    """Its rank correlation with the published E."""
    return spearman(errors(candidate, decay), in_print("log10 E", decay))


def together(candidate: str) -> Estimate:
    """The same over all decays that were run."""
    return mean_rank([rank(candidate, decay) for decay in decays()])


@cache
def candidate_effects(candidate: str, decay: float) -> dict[str, Effect]:
    """Effects of the switches on a candidate's log10."""
    return effects(errors(candidate, decay))


def same_signs(candidate: str) -> tuple[int, int]:
    """Of the published main effects clear of 0: how many the candidate has too, with the same sign."""
    hits = total = 0
    for decay in decays():
        for term in MAIN:
            other, mine = (
                theirs("log10 E", decay)[term].by_spread,
                candidate_effects(candidate, decay)[term].by_spread,
            )
            total += _sign(other) != 0
            hits += _sign(other) != 0 and _sign(other) == _sign(mine)
    return hits, total


def _sign(item: Estimate) -> int:
    """Of an effect clear of 0; else 0."""
    if item.low is None or item.high is None:
        return 0
    return int(item.low > 0) - int(item.high < 0)


def write() -> Page:
    """The page."""
    page = Page(PAGE, "What E is")
    page.claim(
        KALRA,
        "E is the error of the scaling laws' fit, kappa = alpha - 2 beta + gamma; the published table has "
        "one value a cell.",
    )
    page.text(
        "The text of the paper was not at hand; its published code fixes kappa and a filter of 1.35 on the "
        "points. What exactly E averages, what the 1.35 applies to, and which law beta comes from, we have "
        "inferred. Here every reading is computed on the same runs of ours and held against the published "
        "values: does it put the 16 parametrizations in the published order, and do the switches have the "
        "published effects?"
    )
    if not decays() or published() is None:
        not_run(page, "kalra-step-0", "the published values in ../shared/data")
        return page
    _answer(page)
    _orders(page)
    _effect_tables(page)
    _cliff(page)
    kappa.section(page)
    page.head("What would change it")
    page.text(
        "The paper's models train to far lower losses than ours (10,000 steps against 250), so that 1.35 "
        "times the best loss reaches further up the sides of our curves than of theirs. Rank correlations "
        "are over at "
        f"most 16 points and {len(CANDIDATES)} readings were tried: one in twenty would look clear of 0 by "
        "chance at each decay, and the decays share their variants. At the strongest decay the published "
        "effects are themselves not clear of 0, so that there is little order to agree with. The authors' "
        "definition would settle it."
    )
    return page


@cache
def half(second: bool) -> Fitted:
    """The runs of the first or the second half of the seeds of each decay."""
    parts = []
    for name in decays().values():
        frame = table(name)
        assert frame is not None
        parts.append(frame[(frame["seed"] > frame["seed"].median()) == second])
    return fit_frame(pd.concat(parts), "mup")


@cache
def repeats(candidate: str) -> Estimate:
    """How well the order that half of the seeds gives is that of the others: a rank correlation."""
    ranks = []
    for decay in decays():
        first, second = (
            {rule: log10_error(half(part), variant_of(rule, decay), candidate) for rule in the_sixteen()}
            for part in (False, True)
        )
        ranks.append(spearman(first, second))
    return mean_rank(ranks)


def repeatable() -> list[str]:
    """Readings whose own order is the same with other seeds, beyond chance, the surest first."""
    clear = [c for c in CANDIDATES if (repeats(c).low or -1) > 0]
    return sorted(clear, key=lambda c: -(repeats(c).value or 0))


def best() -> list[str]:
    """Readings whose order agrees with the published one beyond chance at every decay, the closest first."""
    clear = [c for c in CANDIDATES if all((rank(c, d).estimate.low or -1) > 0 for d in decays())]
    return sorted(clear, key=lambda c: -(together(c).value or 0))


def _answer(page: Page) -> None:
    page.head("The answer")
    good = best()
    told = [f"*{c}* ({interval(together(c))}, {'{} of {}'.format(*same_signs(c))} effects)" for c in good]
    page.text(
        f"Today's E (*{TODAY}*) has a rank correlation of {interval(together(TODAY))} with the published "
        "one. "
        + (
            f"Clear of 0 at every decay: {'; '.join(told)}."
            if good
            else "No reading agrees with the published order beyond chance at every decay."
        )
    )
    shares = [share_up_the_cliff(study(), variant_of(r, d)) for d in decays() for r in the_sixteen()]
    page.text(
        f"**What the instrument should show.** {np.median(shares):.0%} of today's E (median of {len(shares)} "
        "variants) comes from cells above 1.1 times the best loss, up the sides of the loss-LR curves, where "
        f"single cells differ by more than the laws do. It ranks the sides, not the transfer. {_advice(good)}"
    )


def _advice(good: list[str]) -> str:
    own = repeatable()
    told = "; ".join(f"*{c}* ({interval(repeats(c))})" for c in own) or "none"
    if good:
        first = f"What agrees with the published order here is *{good[0]}*: show it first, with its interval."
    else:
        surest = f", and of the readings *{own[0]}*, the surest to repeat itself" if own else ""
        first = (
            "As no reading gives the published order, none has earned the name of E: show first what needs "
            "no "
            f"reading, R(n) and the cost of keeping{surest}."
        )
    return (
        f"Readings whose order repeats itself with other seeds (rank correlation): {told}. {first} E at "
        "1.35 times the best stays in the JSON under its name, since that is what the published code's "
        "filter says, but should not lead; a filter nearer the optimum is a setting (`--filter 1.1`)."
    )


def _orders(page: Page) -> None:
    page.head("The published order")
    page.text(
        "Spearman's rank correlation between a reading of log E in our runs and the published E over the "
        "variants, 95% interval by Fisher's transformation; and, of the published main effects that are "
        "clear of 0, how many the reading has with the same sign, clear of 0. *Repeats itself* is the rank "
        "correlation of a reading from half of the seeds with that from the others: one that does "
        "not repeat itself measures the noise of single runs."
    )
    rows: list[tuple[Cell, ...]] = [
        (
            c,
            *(rank(c, d).estimate for d in decays()),
            together(c),
            "{} of {}".format(*same_signs(c)),
            repeats(c),
        )
        for c in CANDIDATES
    ]
    heads = [f"decay {d:g}" for d in decays()]
    page.table(["reading of E", *heads, "all decays", "effects", "repeats itself"], rows)
    figure, axes = axes_of(width=6.5, height=3.6)
    series = [
        (f"decay {d:g}", colour, [rank(c, d).estimate for c in CANDIDATES])
        for d, colour in zip(decays(), palette.sequence(len(decays())), strict=True)
    ]
    forest(axes[0, 0], list(CANDIDATES), series)
    axes[0, 0].set_xlabel("rank correlation with the published E", fontsize=8)
    legend_below(figure, axes[0, 0])
    page.figure(
        figure, "e-orders", "Rank correlation of each reading with the published E, with 95% intervals."
    )


def _effect_tables(page: Page) -> None:
    page.head("The published effects")
    for decay in decays():
        page.text(
            f"Main effects on log10 of each reading at weight decay {decay:g}, with 95% intervals by spread:"
        )
        rows: list[tuple[Cell, ...]] = [
            (name, median, *(found[t].by_spread for t in MAIN))
            for name, median, found in (
                *((c, _median(c, decay), candidate_effects(c, decay)) for c in CANDIDATES),
                (
                    "**published**",
                    f"{10 ** np.median(list(in_print('log10 E', decay).values())):.2g}",
                    theirs("log10 E", decay),
                ),
            )
        ]
        page.table(["reading", "median", *(f"`{t}`" for t in MAIN)], rows)


def _median(candidate: str, decay: float) -> str:
    return f"{10 ** np.nanmedian(list(errors(candidate, decay).values())):.2g}"


def _cliff(page: Page) -> None:
    page.head("How much of E is noise")
    rows = []
    for decay in decays():
        noise = [study().basins[variant_of(r, decay)].noise ** 2 / seeds_of(decay) for r in the_sixteen()]
        shares = [share_up_the_cliff(study(), variant_of(r, decay)) for r in the_sixteen()]
        rows.append(
            (f"{decay:g}", f"{np.median(noise):.1e}", _median(TODAY, decay), f"{np.median(shares):.0%}")
        )
    page.text(
        "The least that E can be is the noise variance of a cell near the optimum (mean over its seeds), "
        "nats squared:"
    )
    page.table(
        ["weight decay", "noise of a cell", "today's E, median", "of it from cells above 1.1 x best, median"],
        rows,
    )
