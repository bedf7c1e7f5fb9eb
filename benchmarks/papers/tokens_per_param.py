"""Training that grows with the model: does the learning rate still carry over?"""

from __future__ import annotations

from functools import cache

from papers.claims import Claim, answers, judge, not_run, scale_of
from papers.data import (
    Draws,
    Fitted,
    decays,
    fit_frame,
    fitted,
    fitted_series,
    table,
    token_decays,
    variant_of,
)
from papers.page import KALRA, Page, interval

PAGE = "tokens-per-parameter"
RULES = ("sp", "sp+embd", "sp+ln", "sp+last", "mup-embd", "mup")
TOLERANCE = 0.01  # nats
BUDGETS = {
    "text": "200 steps",
    "tokens_per_param": "1 token a parameter",
    "muon": "Muon, 200 steps",
    "muon_tokens": "Muon, 1 token a parameter",
}
QUANTITIES = ("optimum's shift, octaves", "cost of keeping, nats", "E, nats^2", "kappa", "R(n), nats")


def study(decay: float) -> Fitted:
    """The study at fixed tokens per parameter with this weight decay."""
    return fitted(token_decays()[decay])


@cache
def at_fixed_steps() -> Fitted:
    """The same parametrizations at a fixed number of steps, on the widths up to 96 that both have."""
    frame = table(decays()[0.0])
    assert frame is not None
    chosen = [variant_of(rule, 0) for rule in RULES]
    return fit_frame(frame[frame["variant"].isin(chosen)], "mup")


def row(whole: Fitted, variant: str) -> tuple[Draws | None, ...]:
    """A variant's numbers."""
    return (
        whole.shift(variant),
        whole.keeping(variant),
        *(whole.metric(variant, m) for m in ("E", "kappa", "R_n")),
    )


@cache
def claims() -> list[Claim]:
    """What the papers lead one to expect of muP when training grows with the model."""
    words = "muP's base learning rate can be kept when training grows with the model"
    if 0.0 not in token_decays():
        return [Claim(KALRA, words, "not run yet", "", "", PAGE)]
    name = token_decays()[0.0]
    plain = study(0.0)
    cost, shift = plain.keeping(variant_of("mup", 0)), plain.shift(variant_of("mup", 0))
    text = f"keeping costs {interval(cost)} nats; the optimum moves {interval(shift)} octaves"
    better = plain.metric(variant_of("sp", 0), "R_n"), plain.metric(variant_of("mup", 0), "R_n")
    out = [Claim(KALRA, words, judge(cost, TOLERANCE, above=False), text, scale_of(name), PAGE)]
    if all(better):
        gap = better[0] - better[1]  # type: ignore[operator]
        told = f"R(n): `sp` minus `mup` {interval(gap)} nats"
        said = "muP reaches a lower loss than SP at the largest width, at fixed tokens per parameter"
        out.append(Claim(KALRA, said, judge(gap), told, scale_of(name), PAGE))
    return out


def write() -> Page:
    """The page."""
    page = Page(PAGE, "Tokens per parameter")
    page.claim(
        KALRA,
        "Two budgets are compared, a fixed number of steps and a fixed number of tokens for each parameter; "
        "the larger models of the second train longer.",
    )
    answers(page, claims())
    page.head("One token a parameter")
    if 0.0 in token_decays():
        for decay in token_decays():
            widths = study(decay).sweep.scales
            page.text(f"At weight decay {decay:g}, widths {widths[0]:g} to {widths[-1]:g}:")
            rows = [(f"`{r}`", *row(study(decay), variant_of(r, decay))) for r in RULES]
            page.table(("rule", *QUANTITIES), rows)
        if 0.0 in decays():
            page.text("The same rules at 250 steps, widths 16 to 128, for comparison:")
            rows = [(f"`{r}`", *row(at_fixed_steps(), variant_of(r, 0))) for r in RULES]
            page.table(("rule", *QUANTITIES), rows)
    else:
        not_run(page, "kalra-tpp-0")
    _series(page)
    page.head("What would change it")
    page.text(
        "More tokens for each parameter: one is a twentieth of what models are trained with. Between the "
        "smallest and the largest width here the number of steps grows with the parameters, so a law of the "
        "optimum against width mixes width and training time; the two are told apart only by a study over "
        "both."
    )
    return page


def _series(page: Page) -> None:
    page.head("In the corpus, with more seeds")
    page.text(
        "Set-ups of the [corpus](../explanation/priors.md) with 6 to 8 seeds, widths 8 to 48 "
        "(`text`: to 64), muP "
        "coordinates: 200 steps at every width against one token a parameter, AdamW and Muon."
    )
    rows = [
        (f"`{setup}`: {budget}", f"`{variant}`", *row(fitted_series(setup), variant))
        for setup, budget in BUDGETS.items()
        for variant in ("sp", "sp+embd", "mup")
        if variant in fitted_series(setup).fit.variants
    ]
    page.table(("set-up", "rule", *QUANTITIES), rows)
    gaps = [_moved(v) for v in ("sp", "sp+embd", "mup")]
    page.text(
        f"From the first budget to the second, the optimum's shift changes by {', '.join(gaps)} octaves "
        "(`sp`, `sp+embd`, `mup`, AdamW)."
    )


def _moved(variant: str) -> str:
    """The two set-ups are fitted apart, so that their draws are independent."""
    grown, fixed = fitted_series("tokens_per_param").shift(variant), fitted_series("text").shift(variant)
    return interval(grown - fixed if grown and fixed else None)
