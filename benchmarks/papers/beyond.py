"""Beyond the papers: optimizers, vocabularies, depth and other kinds of training, from the corpus."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import yaml

from hptransfer.quantify.result import Estimate
from hptransfer.report import palette
from hptransfer.report.dynamics_tables import mean_interval
from papers.claims import Claim, answers, judge
from papers.data import SERIES, Draws, Fitted, fitted_series
from papers.page import KALRA, Page, axes_of, forest, interval

PAGE = "beyond"
TOLERANCE = 0.01  # nats
OPTIMIZERS = {"text": "AdamW", "adam_l2": "Adam with L2", "lion": "Lion", "muon": "Muon", "sgd": "SGD"}
VOCABULARIES = ("bytes", "llama", "short_large_batch", "text", "vocab2048", "vocab4096")
COLUMNS = ("optimum's shift, octaves", "cost of keeping, nats", "keep?")


@cache
def setups() -> dict[str, dict[str, dict[str, object]]]:
    """The corpus's set-ups, each with the defaults."""
    content = yaml.safe_load((SERIES.parent / "setups.yaml").read_text())
    parts = ("model", "train")
    return {
        name: {**given, **{p: {**content["defaults"][p], **given.get(p, {})} for p in parts}}
        for name, given in content["setups"].items()
    }


def own(setup: str, variant: str) -> Fitted:
    """A set-up in the coordinates of the variant's own learning rate."""
    return fitted_series(setup, "sp" if variant.startswith("sp") else "mup")


def gain(setup: str) -> Draws:
    """What the embedding's larger learning rate alone wins at the largest width: `sp` minus `sp+embd`."""
    pooled = fitted_series(setup).pooled
    slow, fast = (Draws(float(pooled[v].loss[-1]), pooled[v].loss_draws[:, -1]) for v in ("sp", "sp+embd"))
    return slow - fast


def vocabulary(setup: str) -> int:
    """Tokens that a set-up's model knows."""
    return int(str(setups()[setup]["model"]["vocab"]))


def trend() -> Estimate:
    """Nats that the embedding's gain changes by when the vocabulary doubles: a line through the set-ups."""
    x = np.log2([vocabulary(s) for s in VOCABULARIES])
    y = [gain(s) for s in VOCABULARIES]
    slope = (x - x.mean()) / np.sum((x - x.mean()) ** 2)
    value = float(slope @ np.array([g.value for g in y]))
    residual = np.array([g.value for g in y]) - value * (x - x.mean())
    half = 2.78 * float(np.sqrt(np.var(residual) * len(x) / (len(x) - 2) / np.sum((x - x.mean()) ** 2)))
    return Estimate(value, value - half, value + half)


@cache
def claims() -> list[Claim]:
    """What follows from the papers for settings that they did not try."""
    scale = "widths 8 to 48 or 64; depth 1 to 4, 100 to 1,500 steps, 6 to 8 seeds"
    out = []
    for setup, optimizer in OPTIMIZERS.items():
        cost = own(setup, "mup").keeping("mup")
        words = f"Under {optimizer} muP's base learning rate can be kept"
        text = f"`{setup}`, keeping costs {interval(cost)} nats"
        out.append(Claim("ours", words, judge(cost, TOLERANCE, above=False), text, scale, PAGE))
    item = trend()
    words = "The embedding's learning rate matters more, the larger the vocabulary"
    text = f"gain of `sp+embd` over `sp` for each doubling of the vocabulary: {interval(item)} nats"
    out.append(Claim("ours", words, judge(item), text, scale, PAGE))
    with_both = [s for s in setups() if {"sp", "sp+embd"} <= {*fitted_series(s).fit.variants}]
    gains = [gain(s) for s in with_both]
    clear, mean = sum(g.interval[0] > 0 for g in gains), mean_interval([g.value for g in gains])
    words = "SP with the embedding's learning rate raised reaches a lower loss, in settings not tried there"
    told = f"mean of {len(gains)} set-ups {interval(mean)} nats; clear of 0 in {clear} of them"
    out.append(Claim(KALRA, words, judge(mean), told, scale, PAGE))
    return out


def write() -> Page:
    """The page."""
    page = Page(PAGE, "Beyond the papers")
    page.claim(
        "our question",
        "Do the answers hold for other optimizers, vocabularies, depths and kinds of training?",
    )
    answers(page, claims())
    page.head("What was trained")
    page.text(
        "The corpus of the estimator's own tests (`benchmarks/corpus`): 20 set-ups of small decoders, five "
        "widths from 8 to 48 or 64, learning rates half an octave apart, 6 to 8 seeds. *Keep?* says whether "
        "the smallest "
        f"width's value can be kept at the largest at a cost under {TOLERANCE} nats: yes, no, or not known. "
        "Rules that begin with `sp` are judged in SP's learning rate, the others in muP's base learning rate."
    )
    _optimizers(page)
    _vocabularies(page)
    _others(page)
    _depth(page)
    page.head("What would change it")
    page.text(
        "Widths beyond 64: a vocabulary is large or small only beside the width. The embedding's learning "
        "rate was tried at two ratios to the hidden one here (1 and m); [more ratios](embedding-ratio.md) "
        "have a page of their own."
    )
    return page


def _row(setup: str, variant: str) -> tuple[Draws | None, Draws | None, str]:
    whole = own(setup, variant)
    cost = whole.keeping(variant)
    keep = {"supported": "yes", "refuted": "no"}.get(judge(cost, TOLERANCE, above=False), "not known")
    return whole.shift(variant), cost, keep


def _variants_of(setup: str) -> Sequence[str]:
    return list(fitted_series(setup).fit.variants)


def _optimizers(page: Page) -> None:
    page.head("Optimizers")
    rows = [
        (name, f"`{v}`", *_row(setup, v)) for setup, name in OPTIMIZERS.items() for v in _variants_of(setup)
    ]
    page.table(("optimizer", "rule", *COLUMNS), rows)


def _vocabularies(page: Page) -> None:
    page.head("Vocabulary")
    page.text(
        "What the embedding's larger learning rate alone wins at the largest width, `sp` minus `sp+embd`, by "
        "the size of the vocabulary. The set-ups differ in more than that (steps, depth, data), so the trend "
        "is an observation, not an experiment."
    )
    ordered = sorted(VOCABULARIES, key=vocabulary)
    rows = [
        (f"`{s}`", vocabulary(s), str(max(fitted_series(s).sweep.scales.astype(int))), gain(s))
        for s in ordered
    ]
    page.table(("set-up", "vocabulary", "width", "gain, nats"), rows)
    figure, axes = axes_of(width=6.0, height=2.4)
    items = [Estimate(g.value, *g.interval) for g in map(gain, ordered)]
    forest(axes[0, 0], [f"{s} ({vocabulary(s):,})" for s in ordered], [("gain", palette.INK, items)])
    axes[0, 0].set_xlabel("sp minus sp+embd, nats", fontsize=8)
    page.figure(
        figure, "vocabulary", "Gain of the embedding's larger learning rate by set-up and vocabulary."
    )


def _others(page: Page) -> None:
    page.head("Every other set-up")
    rest = [s for s in setups() if s not in OPTIMIZERS and s != "deep"]
    page.table(
        ("set-up", "rule", *COLUMNS),
        [(f"`{s}`", f"`{v}`", *_row(s, v)) for s in rest for v in _variants_of(s)],
    )


def _depth(page: Page) -> None:
    page.head("Width transfer with four blocks")
    page.text(
        "`deep` has four blocks where the others have one or two. `completep` adds rules for depth, which "
        "change nothing while depth is the same at every width; so this only says that width transfer is not "
        "lost with four blocks. Transfer over depth has [a page of its own](depth.md)."
    )
    page.table(("rule", *COLUMNS), [(f"`{v}`", *_row("deep", v)) for v in _variants_of("deep")])
