"""Does the learning rate carry over depth, with and without a rule for depth?"""

from __future__ import annotations

from functools import cache

import numpy as np

from hptransfer.report import palette
from papers.claims import Claim, answers, judge, not_run, scale_of
from papers.data import Draws, Fitted, fit_frame, table
from papers.page import Page, axes_of, interval

PAGE = "depth"
STUDY = "depth"
DEPTH = "model.depth"
TOLERANCE = 0.01  # nats
RULES = {
    "mup": "no rule for depth",
    "depth-mup": "branches and learning rate divided by sqrt(depth) (arXiv:2310.02244)",
    "completep": "branches divided by depth (arXiv:2505.01618)",
}


@cache
def study() -> Fitted:
    """The rules against depth: it takes the place of width. One width, so that lr is the base rate."""
    frame = table(STUDY)
    assert frame is not None
    return fit_frame(frame.assign(width=frame[DEPTH]), "sp")


@cache
def claims() -> list[Claim]:
    """Whether the learning rate of the shallowest can be kept at the deepest, and what a rule wins."""
    words = {
        rule: f"Over depth, the learning rate can be kept under `{rule}` ({what})"
        for rule, what in RULES.items()
    }
    lower = "A rule for depth reaches a lower loss than none at the largest depth"
    if table(STUDY) is None:
        return [Claim("ours", text, "not run yet", "", "", PAGE) for text in (*words.values(), lower)]
    out = []
    for rule, text in words.items():
        cost, shift = study().keeping(rule), study().shift(rule)
        told = f"keeping costs {interval(cost)} nats; the optimum moves {interval(shift)} octaves"
        out.append(Claim("ours", text, judge(cost, TOLERANCE, above=False), told, _scale(), PAGE))
    for rule in ("depth-mup", "completep"):
        gap = _loss("mup") - _loss(rule)
        told = f"loss at depth {_depths()[-1]}, `mup` minus `{rule}`: {interval(gap)} nats"
        out.append(Claim("ours", lower, judge(gap), told, _scale(), PAGE, f"`{rule}`"))
    return out


def _loss(rule: str) -> Draws:
    b = study().pooled[rule]
    return Draws(float(b.loss[-1]), b.loss_draws[:, -1])


def _depths() -> list[int]:
    return [int(d) for d in sorted(study().sweep.scales)]


def _scale() -> str:
    each = ", ".join(map(str, _depths()))
    return scale_of(STUDY).replace("depth 2", f"depths {each}")


def write() -> Page:
    """The page."""
    page = Page(PAGE, "Depth")
    page.claim(
        "our question",
        "Both papers keep the depth while width grows. Does the learning rate carry over depth, and does a "
        "rule for depth help?",
    )
    answers(page, claims())
    if table(STUDY) is None:
        not_run(page, STUDY)
        return page
    page.head("What was trained")
    page.text(
        f"{_scale().capitalize()}. Rules for depth are alike at depth 2. All three rules are muP in width, "
        "which does not change here."
    )
    rows = [
        (f"`{r}`", what, study().shift(r), study().keeping(r), _loss(r), study().metric(r, "E"))
        for r, what in RULES.items()
    ]
    last = _depths()[-1]
    page.table(
        (
            "rule",
            "over depth",
            "optimum's shift, octaves",
            "cost of keeping, nats",
            f"loss at depth {last}, nats",
            "E, nats^2",
        ),
        rows,
    )
    _figure(page)
    page.head("What would change it")
    page.text(
        f"Deeper models: {last} blocks are few, and the rules part with depth. Longer training: a deep model "
        "at 200 steps is far from what it reaches. Residual projections start with a standard deviation "
        "divided by sqrt(2 depth) under `mup`, which is itself a rule for depth, of initialisation only."
    )
    return page


def _figure(page: Page) -> None:
    figure, axes = axes_of(len(RULES), width=8.5, height=2.6)
    colours = palette.sequence(len(_depths()))
    frame = table(STUDY)
    assert frame is not None
    for panel, rule in zip(axes[0], RULES, strict=True):
        for depth, colour in zip(_depths(), colours, strict=True):
            here = frame[(frame["variant"] == rule) & (frame[DEPTH] == depth)].groupby("lr_mup")["loss"]
            panel.plot(np.log2(here.mean().index), here.mean(), color=colour, lw=1, label=f"depth {depth}")
        panel.set_title(rule, fontsize=9, loc="left")
        panel.set_xlabel("log2 LR", fontsize=8)
    axes[0, 0].set_ylabel("loss, nats", fontsize=8)
    axes[0, -1].legend(fontsize=7, frameon=False)
    page.figure(figure, "depth", "Loss against learning rate by depth, mean over seeds.")
