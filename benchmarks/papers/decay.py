"""Weight decay: better fits? And at fixed tokens per parameter, less robust?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from textwrap import fill

import numpy as np
from matplotlib.ticker import MaxNLocator

from hptransfer.quantify.result import Estimate
from hptransfer.report import palette
from hptransfer.report.dynamics_tables import mean_interval
from papers.candidates import log10_error
from papers.claims import Claim, answers, judge, not_run, scale_of
from papers.data import (
    Draws,
    Fitted,
    decays,
    fitted_series,
    fitted_where_all,
    published,
    the_sixteen,
    token_decays,
    variant_of,
)
from papers.page import KALRA, Page, axes_of, forest, interval
from papers.parametrizations import in_print, log10

PAGE = "weight-decay"
PREDICTED = "loss predicted at the largest width"


def _value(item: Draws | None) -> float:
    return item.value if item else float("nan")


TITLE = 30  # characters of a line above a panel
QUANTITIES: Mapping[str, Callable[[Fitted, str], float]] = {
    "log10 E": lambda f, v: _value(log10(f.metric(v, "E"))),
    "log10 E_hp": lambda f, v: _value(log10(f.metric(v, "E_hp"))),
    "log10 of the error of the predicted loss": lambda f, v: log10_error(f, v, PREDICTED) / 2,
    "kappa": lambda f, v: _value(f.metric(v, "kappa")),
    "kappa, beta of the offset family": lambda f, v: _value(f.metric(v, "kappa_offset")),
    "optimum's shift, octaves": lambda f, v: _value(f.shift(v)),
    "cost of keeping, nats": lambda f, v: _value(f.keeping(v)),
    "loss at the largest width, nats": lambda f, v: float(f.pooled[v].loss[-1]),
}


def change(studies: Mapping[float, str], quantity: str, decay: float) -> Estimate:
    """A quantity at a decay minus at none: mean over parametrizations, each paired with itself."""
    whole = fitted_where_all(studies[0.0], studies[decay])
    rules = [r for r in the_sixteen() if variant_of(r, 0) in whole.fit.variants]
    of = QUANTITIES[quantity]
    gaps = [of(whole, variant_of(rule, decay)) - of(whole, variant_of(rule, 0)) for rule in rules]
    return mean_interval([gap for gap in gaps if np.isfinite(gap)])


def change_in_print(quantity: str, decay: float) -> Estimate:
    """The same of the published table, which is of fixed steps."""
    none, some = in_print(quantity, 0.0), in_print(quantity, decay)
    return mean_interval([some[rule] - none[rule] for rule in some if rule in none])


def stronger(studies: Mapping[float, str]) -> list[float]:
    """Decays that can be compared with none."""
    return [decay for decay in studies if decay > 0] if 0.0 in studies else []


@cache
def claims() -> list[Claim]:
    """The paper's two claims about weight decay."""
    out = []
    fits, robust = (
        "Weight decay improves the scaling laws' fit",
        "At fixed tokens per parameter, decay hurts robustness",
    )
    for decay in stronger(decays()):
        item = change(decays(), "log10 E", decay)
        text = f"log10 E at decay {decay:g} minus at 0, mean over 16 parametrizations: {interval(item)}"
        case, words = f"weight decay {decay:g}", f"{fits} (smaller E)"
        out.append(Claim(KALRA, words, judge(item, above=False), text, scale_of(decays()[decay]), PAGE, case))
    for decay in stronger(token_decays()):
        item = change(token_decays(), "kappa", decay)
        text = f"kappa at decay {decay:g} minus at 0, mean over the parametrizations: {interval(item)}"
        case, words = f"weight decay {decay:g}", f"{robust} (larger kappa)"
        out.append(Claim(KALRA, words, judge(item), text, scale_of(token_decays()[decay]), PAGE, case))
    if not stronger(decays()):
        out.append(Claim(KALRA, f"{fits} (smaller E)", "not run yet", "", "", PAGE))
    if not stronger(token_decays()):
        out.append(Claim(KALRA, f"{robust} (larger kappa)", "not run yet", "", "", PAGE))
    return out


def write() -> Page:
    """The page."""
    page = Page(PAGE, "Weight decay")
    page.claim(
        KALRA,
        "Weight decay improves the fits of the scaling laws; with training proportional to the parameters it "
        "hurts the robustness of extrapolation.",
    )
    answers(page, claims())
    _changes(page, "At a fixed number of steps", decays(), "kalra-step-1e-2")
    _changes(page, "At fixed tokens per parameter", token_decays(), "kalra-tpp-1e-2")
    _kinds(page)
    page.head("What would change it")
    page.text(
        "Decay acts through learning rate x decay x steps. AdamW's decay of 0.01 at a learning rate of 2^-5 "
        "over 250 "
        f"steps shrinks weights by less than {0.01 * 2**-5 * 250:.0%}: too little to expect much. The "
        "paper's runs "
        f"are {10_000 // 250} times longer; stronger decay or longer runs would test the claim where it can "
        "act."
    )
    return page


def _changes(page: Page, title: str, studies: Mapping[float, str], missing: str) -> None:
    page.head(title)
    if not stronger(studies):
        not_run(page, missing)
        return
    page.text(
        "Each number is a decay's value minus that without decay, averaged over the parametrizations (each "
        "paired with itself), with the 95% interval of that mean, on the widths and seeds that both have: "
        f"{'; '.join(_widths(studies, decay) for decay in stronger(studies))}."
    )
    columns, rows = ["change of"], []
    show_print = published() is not None and studies == decays()
    for decay in stronger(studies):
        columns += [f"decay {decay:g}", *([f"published, {decay:g}"] if show_print else [])]
    for quantity in QUANTITIES:
        row: list[str | Estimate] = [quantity]
        for decay in stronger(studies):
            row.append(change(studies, quantity, decay))
            row += [change_in_print(quantity, decay)] if show_print else []
        rows.append(row)
    page.table(columns, rows)
    figure, axes = axes_of(4, 2, width=9.0, height=1.0 + 0.3 * len(stronger(studies)))
    for panel, quantity in zip(axes.ravel(), QUANTITIES, strict=True):
        labels = [f"decay {d:g}" for d in stronger(studies)]
        forest(
            panel, labels, [("ours", palette.INK, [change(studies, quantity, d) for d in stronger(studies)])]
        )
        panel.set_title(fill(quantity, TITLE), fontsize=8, loc="left")
        panel.xaxis.set_major_locator(MaxNLocator(3))
    name = "decay-steps" if studies == decays() else "decay-tokens"
    page.figure(figure, name, f"{title}: change with weight decay, mean over parametrizations.")


def _widths(studies: Mapping[float, str], decay: float) -> str:
    """The widths on which a decay is compared with none."""
    shared = fitted_where_all(studies[0.0], studies[decay]).sweep.scales
    return f"{', '.join(f'{w:g}' for w in shared)} (decay {decay:g})"


def _kinds(page: Page) -> None:
    page.head("Coupled and independent decay")
    page.text(
        "Set-ups `decay` and `text` of the [corpus](../explanation/priors.md), 6 to 8 seeds: strong decay "
        "multiplied by "
        "the learning rate (*coupled*, AdamW's own), or independent of it. Under muP with coupled decay a "
        "hidden matrix decays less the wider it is, since its learning rate falls. In muP coordinates, "
        "widths 8 to 48 (`decay`)."
    )
    whole = fitted_series("decay")
    rows = [(f"`{v}`", *_row(whole, v)) for v in whole.fit.variants]
    plain = fitted_series("text")
    rows += [(f"`{v}`, no decay (`text`, widths 8 to 64)", *_row(plain, v)) for v in ("sp", "mup")]
    page.table(("variant", "optimum's shift, octaves", "cost of keeping, nats", "E, nats^2", "kappa"), rows)


def _row(whole: Fitted, variant: str) -> tuple[Draws | None, ...]:
    return (
        whole.shift(variant),
        whole.keeping(variant),
        whole.metric(variant, "E"),
        whole.metric(variant, "kappa"),
    )
