"""The 16 parametrizations of arXiv:2605.21486: what each of the four switches does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import product

import numpy as np
import pandas as pd

from hptransfer.quantify.result import Estimate
from hptransfer.report import palette, phase_chart
from papers.blocks import contrast, lowest
from papers.claims import Claim, Status, answers, found, judge, not_run, scale_of
from papers.data import Draws, Fitted, decays, fitted, published, table, the_sixteen, variant_of
from papers.effects import MAIN, TERMS, Effect, effects
from papers.page import KALRA, Cell, Page, axes_of, forest, interval, legend_below

PAGE = "parametrizations"
Judged = Callable[[float], tuple[Status, str]]  # of a weight decay: the answer, and the numbers behind it


def log10(item: Draws | None) -> Draws | None:
    """log10 of a positive quantity."""
    return item and Draws(float(np.log10(item.value)), np.log10(item.draws))


QUANTITIES: Mapping[str, Callable[[Fitted, str], Draws | None]] = {
    "log10 E": lambda f, v: log10(f.metric(v, "E")),
    "kappa": lambda f, v: f.metric(v, "kappa"),
    "R(inf), nats": lambda f, v: f.metric(v, "R_inf"),
    "R(n), nats": lambda f, v: f.metric(v, "R_n"),
    "optimum's shift, octaves": lambda f, v: f.shift(v),
    "cost of keeping, nats": lambda f, v: f.keeping(v),
}
PUBLISHED = {"log10 E": "E", "kappa": "kappa", "R(inf), nats": "R_inf"}  # columns of the published table


@cache
def study() -> Fitted:
    """All decays at a fixed number of steps, fitted together."""
    return fitted(*decays().values())


@cache
def measured(quantity: str, decay: float) -> dict[str, Draws]:
    """A quantity of our runs by rule."""
    values = {rule: QUANTITIES[quantity](study(), variant_of(rule, decay)) for rule in the_sixteen()}
    return {rule: value for rule, value in values.items() if value is not None}


def in_print(quantity: str, decay: float) -> dict[str, float]:
    """The published values of a quantity by rule; empty where none are at hand."""
    frame = published()
    if frame is None or quantity not in PUBLISHED:
        return {}
    here = frame[np.isclose(frame["weight_decay"], decay)]
    values = dict(zip(here["rule"], here[PUBLISHED[quantity]], strict=True))
    return {k: float(np.log10(v)) for k, v in values.items()} if quantity == "log10 E" else values


@cache
def ours(quantity: str, decay: float) -> dict[str, Effect]:
    """The effects in our runs."""
    return effects(measured(quantity, decay))


def theirs(quantity: str, decay: float) -> dict[str, Effect]:
    """The effects in the published table."""
    return effects(in_print(quantity, decay))


def difference(quantity: str, decay: float, a: str, b: str) -> Draws:
    """Rule a minus rule b."""
    values = measured(quantity, decay)
    return values[a] - values[b]


@cache
def by_seed(decay: float) -> pd.DataFrame:
    """The lowest loss at the largest width that each seed reached, a column a rule."""
    frame = table(decays()[decay])
    assert frame is not None
    return lowest(frame).rename(columns=lambda name: str(name).partition(" wd=")[0])


@cache
def claims() -> list[Claim]:
    """The paper's claims about parametrizations, each at every decay that was run."""
    if not decays():
        return [Claim(KALRA, words, "not run yet", "", "", PAGE) for words, _ in CLAIMS]
    out = [
        Claim(KALRA, words, *judged(decay), scale_of(name), PAGE, f"weight decay {decay:g}")
        for words, judged in CLAIMS
        for decay, name in decays().items()
    ]
    return [*out, *_fading()]


def _minus(quantity: str, a: str, b: str) -> Judged:
    """Judges that rule a has more of a quantity than rule b."""

    def judged(decay: float) -> tuple[Status, str]:
        item = difference(quantity, decay, a, b)
        return judge(item), found(f"{quantity}: `{a}` minus `{b}`", item)

    return judged


def _above(a: str, b: str) -> Judged:
    """Judges that rule a ends at a higher loss than rule b, by their seeds' lowest losses."""

    def judged(decay: float) -> tuple[Status, str]:
        item = contrast(by_seed(decay), {a: 1.0, b: -1.0})
        text = found(f"lowest loss, nats: `{a}` minus `{b}`", item)
        return judge(item), f"{text} (R(n): {interval(difference('R(n), nats', decay, a, b))})"

    return judged


def _most(decay: float) -> tuple[Status, str]:
    """Judges that the embedding's rate alone wins back more than half of SP's penalty against muP."""
    losses = by_seed(decay)
    won, lost = (contrast(losses, {"sp": 1.0, b: -1.0}).value or 0.0 for b in ("sp+embd", "mup"))
    item = contrast(losses, {"sp": 0.5, "sp+embd": -1.0, "mup": 0.5})
    return judge(item), f"{won / lost:.0%} won back; {interval(item)} nats more than half"


def _effect(quantity: str, term: str, *, above: bool) -> Judged:
    """Judges the sign of a switch's effect."""

    def judged(decay: float) -> tuple[Status, str]:
        item = ours(quantity, decay)[term].by_spread
        return judge(item, above=above), found(f"effect of `{term}` on {quantity}", item)

    return judged


CLAIMS: Sequence[tuple[str, Judged]] = (
    ("muP reaches a lower loss than SP at the largest width", _above("sp", "mup")),
    ("muP follows its scaling laws more closely than SP (smaller E)", _minus("log10 E", "sp", "mup")),
    ("The embedding's larger learning rate alone wins back most of SP's loss penalty", _most),
    ("Of the four switches, `embd` lowers the loss", _effect("R(n), nats", "embd", above=False)),
    ("`embd` lowers E", _effect("log10 E", "embd", above=False)),
    ("muP without it (`mup-embd`) loses the lower loss", _above("mup-embd", "mup")),
    ("muP without it (`mup-embd`) loses the smaller E", _minus("log10 E", "mup-embd", "mup")),
    ("Scaling the norms' learning rate (`ln`) harms E", _effect("log10 E", "ln", above=True)),
    ("Scaling attention by 1/d (`attn`) lowers E a little", _effect("log10 E", "attn", above=False)),
)


def decay_interaction(quantity: str = "log10 E", term: str = "embd") -> Estimate | None:
    """An effect at the strongest decay minus at the weakest; None with one decay."""
    each = list(decays())
    if len(each) < 2:
        return None
    weak, strong = (ours(quantity, d)[term].by_spread for d in (each[0], each[-1]))
    if None in (weak.low, weak.high, strong.low, strong.high):
        return None
    half = float(np.hypot(weak.high - weak.low, strong.high - strong.low) / 2)  # type: ignore[operator]
    value = float(strong.value - weak.value)  # type: ignore[operator]
    return Estimate(value, value - half, value + half)


def _fading() -> list[Claim]:
    words = "The effect of `embd` on E fades at strong weight decay (read off the published table)"
    change = decay_interaction()
    if change is None:
        return [Claim(KALRA, words, "not run yet", "needs two decays", "", PAGE)]
    each = list(decays())
    text = found(f"effect of `embd` on log10 E at decay {each[-1]:g} minus at {each[0]:g}", change)
    return [Claim(KALRA, words, judge(change), text, scale_of(decays()[each[-1]]), PAGE)]


def write() -> Page:
    """The page."""
    page = Page(PAGE, "Sixteen parametrizations")
    page.claim(
        KALRA,
        "The benefit of muP over SP under AdamW is, for the most part, that the embedding learns faster: SP "
        "is held back by its slow embedding, and raising the embedding's learning rate by the width ratio "
        "smooths training and improves the transfer of the learning rate.",
    )
    if not decays():
        not_run(page, "kalra-step-0")
        return page
    page.text(
        "The paper has 16 parametrizations: SP with any of four switches thrown. `embd` multiplies the "
        "embedding's learning rate by the width ratio m, `ln` that of the norms; `attn` scales the attention "
        "logits by 1/d instead of 1/sqrt(d), `last` starts the readout with variance 1/n^2. All four thrown "
        "is muP. With all 16 trained, each switch's effect is a mean over eight pairs that differ in it "
        "alone."
    )
    answers(page, claims())
    _told(page)
    _phase(page)
    _scale(page)
    _effect_sections(page)
    _values(page)
    _changes(page)
    return page


def _told(page: Page) -> None:
    page.text(
        "*Lowest loss* is that of each seed over the learning rates trained, at the largest width; rules are "
        "compared within seeds (randomized blocks over all 16). These claims were judged by R(n), which the "
        "fit gives, until seeds 2 and 3 were trained. With four seeds R(n) decides less than with two: the "
        "fit of `sp` without decay finds more noise and puts the optimum at width 128 below what the "
        "seeds reached:"
    )
    rows: list[tuple[Cell, ...]] = [
        (f"`{rule}`", f"{decay:g}", seeds_of(decay), *_fit_and_seeds(rule, decay))
        for rule, decay in product(("sp", "mup"), decays())
    ]
    page.table(("rule", "weight decay", "seeds", "loss of the fit, nats", "mean of seeds", "noise"), rows)
    page.text("Its cause is not known. Both numbers are shown in the answers.")


def seeds_of(decay: float) -> int:
    """How many seeds were trained at a weight decay."""
    return len(by_seed(decay))


def _fit_and_seeds(rule: str, decay: float) -> tuple[str, ...]:
    """At the largest width: loss of the fitted optimum, mean of the seeds' lowest; the fit's noise, nats."""
    basins = study().basins[variant_of(rule, decay)]
    return f"{basins.loss[-1]:.3f}", f"{by_seed(decay)[rule].mean():.3f}", f"{basins.noise:.3f}"


def _scale(page: Page) -> None:
    page.head("What was trained")
    rows = [(f"{decay:g}", f"`{name}`", scale_of(name)) for decay, name in decays().items()]
    page.table(("weight decay", "table", "scale"), rows)
    page.text(
        "Learning rates 2^-9 to 2^-1 in muP coordinates, a factor of 2 apart; base width 32, so that at "
        "width 16 the switches act the other way round. The paper trains 12 blocks, widths 128 to 2,048, "
        "10,000 steps."
    )


def _effect_sections(page: Page) -> None:
    page.head("Effects of the switches")
    page.text(
        "Each cell is the change when the switch is thrown, with a 95% interval. *By spread*: least squares "
        "on the 16 values (mean, four effects, six interactions); the interval comes from what that leaves "
        "over, for our runs and for the published values alike. *By noise*: of these 16 variants as they "
        "were trained, from the posterior draws. An interaction is how much throwing one switch changes the "
        "effect of the other."
    )
    _effect_figure(page)
    for decay in decays():
        page.text(f"### At weight decay {decay:g}")
        for quantity in QUANTITIES:
            mine, other = ours(quantity, decay), theirs(quantity, decay)
            columns = ["effect on " + quantity, "ours, by spread", "ours, by noise"]
            rows: list[list[Cell]] = [
                [f"`{term}`", mine[term].by_spread, mine[term].by_noise] for term in TERMS
            ]
            if in_print(quantity, decay):
                columns.append("published, by spread")
                rows = [[*row, other[term].by_spread] for row, term in zip(rows, TERMS, strict=True)]
            page.table(columns, rows)
    _decay_table(page)


def _effect_figure(page: Page) -> None:
    figure, axes = axes_of(len(QUANTITIES) // 2, 2, width=8.5, height=2.3)
    colours = palette.sequence(len(decays()))
    for panel, quantity in zip(axes.ravel(), QUANTITIES, strict=True):
        series = [
            (f"ours, decay {decay:g}", colour, [ours(quantity, decay)[term].by_spread for term in MAIN])
            for decay, colour in zip(decays(), colours, strict=True)
        ]
        for decay in list(decays())[:1]:
            if in_print(quantity, decay):
                other = [theirs(quantity, decay)[term].by_spread for term in MAIN]
                series.append((f"published, decay {decay:g}", palette.ACCENT, other))
        forest(panel, MAIN, series)
        panel.set_title(quantity, fontsize=9, loc="left")
    legend_below(figure, axes[0, 0])
    page.figure(figure, "effects", "Main effects of the four switches, with 95% intervals by spread.")


def _decay_table(page: Page) -> None:
    page.text("### Does weight decay change them?")
    frame = published()
    each = list(decays()) if frame is None else sorted({*decays(), *map(float, frame["weight_decay"])})
    rows = [
        (
            f"{decay:g}",
            *(ours("log10 E", decay)[t].by_spread if decay in decays() else "" for t in MAIN),
            *(theirs("log10 E", decay)[t].by_spread for t in MAIN),
        )
        for decay in each
    ]
    page.table(["weight decay", *(f"{whose} `{t}`" for whose in ("ours,", "published,") for t in MAIN)], rows)
    changes = ", ".join(f"`{t}` {interval(decay_interaction(term=t))}" for t in MAIN)
    page.text(f"Effects on log10 E. In our runs, the strongest decay minus the weakest: {changes}.")


def _phase(page: Page) -> None:
    page.head("Phase diagram")
    page.interactive(
        phase_chart.phase(list(study().fit.variants.values())),
        "phase",
        "Quality of the fit E against robustness kappa; the darker a point, the larger R(inf). Low and left "
        "is good.",
        {"rule": "parametrization", "decay": "weight decay"},
    )


def _values(page: Page) -> None:
    page.head("Every variant")
    page.text("Compare losses within a weight decay: where the seeds differ, so do the losses.")
    for decay in decays():
        page.text(f"At weight decay {decay:g}:")
        rows = []
        for rule in the_sixteen():
            f, v = study(), variant_of(rule, decay)
            numbers = [f.metric(v, "E"), *(QUANTITIES[q](f, v) for q in list(QUANTITIES)[1:])]
            rows.append([f"`{rule}`", *numbers])
        page.table(["rule", "E, nats^2", *list(QUANTITIES)[1:]], rows)


def _changes(page: Page) -> None:
    page.head("What would change it")
    page.text(
        "Wider models and longer training: here m runs from 1/2 to 4 only, and R(inf) is an extrapolation "
        "from four widths. E depends on which cells count, see [what E is](what-e-is.md): on these runs no "
        "variant's E is known to better than a factor of about two. The same study at widths 64 to 1,024 "
        "needs a GPU (`examples/gpu`)."
    )
