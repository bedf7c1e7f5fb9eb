"""What training does to the gain of a fast embedding: batch size, warmup, and a learning rate that falls."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import pandas as pd

from hptransfer.quantify.result import Estimate
from hptransfer.report import palette
from papers.claims import Claim, answers, judge, not_run, scale_of
from papers.curves import Key, at_end, bests, paired, slopes, with_pooled_noise
from papers.data import table
from papers.page import Page, axes_of, forest, interval

PAGE = "embedding-training"
GRID, FALLING = "batch-warmup", "falling-embedding"
BATCH, WARMUP, RAMP = "train.batch_size", "train.warmup", "train.lr_ramps.embedding.exponent"
SLOW, FAST, FALLS = ("sp", 0.0), ("sp+embd", 0.0), ("sp+embd", -1.0)


def _runs(name: str) -> pd.DataFrame:
    frame = table(name)
    assert frame is not None
    return frame


@cache
def gains() -> dict[Key, list[float]]:
    """What the fast embedding wins, `sp` minus `sp+embd`, nats, a value a seed, by batch size and warmup."""
    found = bests(_runs(GRID), [BATCH, WARMUP, "variant"])
    cells = dict.fromkeys((batch, warmup) for batch, warmup, _ in found)
    return {cell: paired(found[(*cell, "sp")], found[(*cell, "sp+embd")]) for cell in cells}


def centred() -> dict[Key, tuple[float, float, float]]:
    """log2 of the batch size and the warmup, both about their means, and their product."""
    batch = {cell: float(np.log2(float(cell[0]))) for cell in gains()}
    warmup = {cell: float(cell[1]) for cell in gains()}
    middle = float(np.mean([*batch.values()])), float(np.mean([*warmup.values()]))
    parts = {cell: (batch[cell] - middle[0], warmup[cell] - middle[1]) for cell in gains()}
    return {cell: (*part, part[0] * part[1]) for cell, part in parts.items()}


def dependence() -> dict[str, Estimate]:
    """Change of the gain for a doubling of the batch, for 0.1 more warmup, and of the first by the second."""
    batch, warmup, both = slopes(gains(), centred())
    return {"batch": batch, "warmup": warmup.times(0.1), "both": both.times(0.1)}


@cache
def losses() -> dict[int, dict[tuple[str, float], dict[int, float]]]:
    """The lowest loss by width, by rule and exponent of the embedding's learning rate, and by seed."""
    found: dict[int, dict[tuple[str, float], dict[int, float]]] = {}
    for (width, rule, ramp), of in bests(_runs(FALLING), ["width", "variant", RAMP]).items():
        found.setdefault(int(width), {})[str(rule), float(ramp)] = of
    return found


def differences(a: tuple[str, float], b: tuple[str, float]) -> dict[int, Estimate]:
    """One treatment minus another by width, nats, with the noise of all widths together."""
    gaps: Mapping[Key, list[float]] = {(w,): paired(of[a], of[b]) for w, of in losses().items()}
    return {int(key[0]): item for key, item in with_pooled_noise(gaps).items()}


def overall(a: tuple[str, float], b: tuple[str, float]) -> Estimate:
    """The same over all widths: the noise is that within widths."""
    each = differences(a, b)
    mean = float(np.mean([item.value for item in each.values() if item.value is not None]))
    sides = [
        item.high - item.value for item in each.values() if item.high is not None and item.value is not None
    ]
    side = float(np.sqrt(np.sum(np.square(sides)))) / len(each) if sides else None
    return Estimate(mean) if side is None else Estimate(mean, mean - side, mean + side)


@cache
def claims() -> list[Claim]:
    """Questions that the papers leave open."""
    return [*_claims_of_grid(), *_claims_of_falling()]


def _claims_of_grid() -> list[Claim]:
    words = {
        "batch": "A larger batch lessens what a fast embedding wins",
        "warmup": "A longer warmup lessens what a fast embedding wins",
    }
    if table(GRID) is None:
        return [Claim("ours", text, "not run yet", "", "", PAGE) for text in words.values()]
    found, scale = dependence(), scale_of(GRID)
    batch, warmup = found["batch"], found["warmup"]
    told = f"gain of `sp+embd` for each doubling of the batch: {interval(batch)} nats"
    less = f"gain for each further tenth of the steps: {interval(warmup)} nats"
    return [
        Claim("ours", words["batch"], judge(batch, above=False), told, scale, PAGE),
        Claim("ours", words["warmup"], judge(warmup, above=False), less, scale, PAGE),
    ]


def _claims_of_falling() -> list[Claim]:
    words = {
        "keeps": "An embedding's learning rate that falls from m times the hidden one to that keeps its gain",
        "better": "A falling embedding rate ends at a lower loss than a fast one that stays",
    }
    if table(FALLING) is None:
        return [Claim("ours", text, "not run yet", "", "", PAGE) for text in words.values()]
    keeps, better, scale = overall(FALLS, SLOW), overall(FALLS, FAST), scale_of(FALLING)
    told = f"mean over widths, falling minus slow: {interval(keeps)} nats"
    more = f"mean over widths, falling minus fast: {interval(better)} nats"
    return [
        Claim("ours", words["keeps"], judge(keeps, above=False), told, scale, PAGE),
        Claim("ours", words["better"], judge(better, above=False), more, scale, PAGE),
    ]


def write() -> Page:
    """The page."""
    page = Page(PAGE, "Training and the embedding")
    page.claim(
        "our question",
        "Does what a fast embedding wins depend on the batch size and the warmup? Is an embedding whose "
        "learning rate falls over training as good?",
    )
    answers(page, claims())
    page.head("Batch size and warmup")
    if table(GRID) is None:
        not_run(page, GRID)
    else:
        _grid(page)
    page.head("A learning rate that falls")
    if table(FALLING) is None:
        not_run(page, FALLING)
    else:
        _falling(page)
    page.head("What would change it")
    page.text(
        "More seeds and longer training. The number of steps is the same at every batch size, so a larger "
        "batch also sees more tokens; at a fixed number of tokens the answer may differ. With two seeds an "
        "interval rests on the spread within all cells together."
    )
    return page


def _grid(page: Page) -> None:
    page.text(
        f"{scale_of(GRID).capitalize()}; base width 8, so that the fast embedding has four times the slow "
        "one's learning rate. Each cell: the lowest loss of `sp` minus that of `sp+embd`, nats, seeds "
        "paired; the lowest loss is read off a parabola through the best learning rate and its neighbours. "
        f"{at_end(_runs(GRID), [BATCH, WARMUP, 'variant'])} of {2 * len(gains())} curves have their lowest "
        "loss at an end of the learning rates."
    )
    items = with_pooled_noise(gains())
    batches, warmups = ([*dict.fromkeys(cell[i] for cell in gains())] for i in (0, 1))
    rows = [(f"{float(w):g}", *(items.get((b, w)) for b in batches)) for w in warmups]
    page.table(("warmup, share of steps", *(f"batch {b} x 64 tokens" for b in batches)), rows)
    found = dependence()
    page.text(
        f"Least squares over all cells and seeds: for each doubling of the batch {interval(found['batch'])} "
        f"nats, for each further tenth of warmup {interval(found['warmup'])} nats, and of the first by the "
        f"second {interval(found['both'])} nats."
    )


def _falling(page: Page) -> None:
    page.text(
        f"{scale_of(FALLING).capitalize()}; base width 8. *Slow*: the hidden learning rate (`sp`); *fast*: "
        "m times that (`sp+embd`); *falling*: from m times that at the first step to once at the last. "
        "The lowest loss over learning rates, nats, seeds paired; at an end of them in "
        f"{at_end(_runs(FALLING), ['width', 'variant', RAMP])} of {4 * len(losses())} curves."
    )
    rows = [
        (
            width,
            differences(FAST, SLOW)[width],
            differences(FALLS, SLOW)[width],
            differences(FALLS, FAST)[width],
        )
        for width in losses()
    ]
    page.table(("width", "fast minus slow", "falling minus slow", "falling minus fast"), rows)
    figure, axes = axes_of(width=6.0, height=2.4)
    labels = [f"width {width}" for width in losses()]
    series = [
        (name, colour, [differences(treatment, SLOW)[w] for w in losses()])
        for (name, treatment), colour in zip(
            (("fast", FAST), ("falling", FALLS)), (palette.INK, palette.ACCENT), strict=True
        )
    ]
    forest(axes[0, 0], labels, series)
    axes[0, 0].set_xlabel("loss minus that of the slow embedding, nats", fontsize=8)
    axes[0, 0].legend(fontsize=8, frameon=False)
    page.figure(figure, "falling-embedding", "What a fast and a falling embedding win over a slow one.")
