"""How should the embedding's learning rate grow against the hidden one, by size of the vocabulary?"""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

from hptransfer.quantify.result import Estimate
from hptransfer.report import palette
from papers.claims import Claim, Status, answers, judge, not_run, scale_of
from papers.curves import Key, bests, moving_valley, slopes, vertex, with_pooled_noise
from papers.data import Draws, names, table
from papers.page import Page, axes_of, interval, legend_below

PAGE = "embedding-ratio"
STUDY = "embedding-ratio"
VOCAB, FACTOR = "model.vocab", "train.lr_factors.embedding"
NEAR = 0.3  # nats above the best of a width and seed, within which a point counts as in the valley
HAYOU = "arXiv:2506.15025"
WORDS = "The best ratio of the embedding's to the hidden learning rate grows"


@cache
def runs() -> pd.DataFrame:
    """All vocabularies that were run."""
    frames = [frame for name in names(STUDY) if (frame := table(name)) is not None]
    return pd.concat(frames)


def vocabularies() -> list[int]:
    """That were run, the smallest first."""
    return sorted(int(v) for v in runs()[VOCAB].unique()) if names(STUDY) else []


@cache
def valley(vocabulary: int) -> pd.DataFrame:
    """The lowest loss over learning rates by width, factor and seed, near the best factor of each width."""
    found = bests(runs()[runs()[VOCAB] == vocabulary], ["width", FACTOR])
    rows = [(*key, seed, loss) for key, of in found.items() for seed, loss in of.items()]
    frame = pd.DataFrame(rows, columns=["width", "factor", "seed", "loss"])
    best = frame.groupby(["width", "seed"])["loss"].transform("min")
    return frame.assign(z=np.log2(frame["factor"].astype(float)), rise=frame["loss"] - best)


@cache
def exponent(vocabulary: int) -> Estimate:
    """Octaves that the best ratio grows by when the width doubles, from the bottom of each valley."""
    places: dict[Key, list[float]] = {}
    for _, of in valley(vocabulary).sort_values("z").groupby(["width", "seed"]):
        width, bottom = float(of["width"].iloc[0]), vertex(of["z"].to_numpy(), of["loss"].to_numpy())[0]
        places.setdefault((width,), []).append(bottom)
    return slopes(places, {key: (float(np.log2(key[0])),) for key in places})[0]


@cache
def whole_valley(vocabulary: int) -> Draws | None:
    """The same from every point near the bottoms, by parabolas of one curvature."""
    frame = valley(vocabulary)
    here = frame[frame["rise"] <= NEAR]
    w = np.log2(here["width"].to_numpy(float) / float(frame["width"].min()))
    group: list[Key] = list(zip(here["width"].astype(float), here["seed"].astype(float), strict=True))
    return moving_valley(here["z"].to_numpy(), w, group, here["loss"].to_numpy())


def best_factors(vocabulary: int) -> dict[int, float]:
    """By width, the factor with the lowest mean loss."""
    best = valley(vocabulary).groupby(["width", "factor"])["loss"].mean().unstack().idxmin(axis=1)
    return dict(zip(map(int, best.index), map(float, best), strict=True))


@cache
def given_up() -> dict[int, Estimate]:
    """Loss given up at the largest width by a ratio of 1 (SP's), nats, by vocabulary."""
    rises: dict[Key, list[float]] = {}
    for v in vocabularies():
        frame = valley(v)
        here = frame[(frame["factor"] == 1) & (frame["width"] == frame["width"].max())]
        rises[(float(v),)] = here["rise"].tolist()
    return {int(key[0]): item for key, item in with_pooled_noise(rises).items()}


@cache
def claims() -> list[Claim]:
    """What arXiv:2506.15025 leads one to expect."""
    small, large, less, more = (
        f"{WORDS} with width where the vocabulary is small (muP: in proportion)",
        f"{WORDS} less than in proportion to width where the vocabulary is large",
        f"{WORDS} more slowly with width, the larger the vocabulary",
        "An embedding whose learning rate is the hidden one gives up more loss, the larger the vocabulary",
    )
    if len(vocabularies()) < 2:
        return [Claim("ours", words, "not run yet", "", "", PAGE) for words in (small, large, less, more)]
    first, last = vocabularies()[0], vocabularies()[-1]
    bottoms = exponent(first), exponent(last), _minus(exponent(last), exponent(first))
    wholes = [_estimate(whole_valley(v)) for v in (first, last)]
    whole = *wholes, _minus(wholes[1], wholes[0])
    limits = ((0.0, True), (1.0, False), (0.0, False))
    places = f"vocabulary {first:,}", f"vocabulary {last:,}", f"{last:,} minus at {first:,}"
    out = []
    for words, a, b, (limit, above), of in zip(
        (small, large, less), bottoms, whole, limits, places, strict=True
    ):
        statuses = {judge(item, limit, above=above) for item in (a, b)}
        status: Status = statuses.pop() if len(statuses) == 1 else "not decidable at this scale"
        told = f"exponent at {of}: {interval(a)}; by the other reading {interval(b)}"
        out.append(Claim("ours", words, status, told, _scale(), PAGE))
    lost = _minus(given_up()[last], given_up()[first])
    told = f"given up at {last:,} minus at {first:,}: {interval(lost)} nats"
    return [*out, Claim("ours", more, judge(lost), told, _scale(), PAGE)]


def _estimate(item: Draws | None) -> Estimate:
    return Estimate() if item is None else Estimate(item.value, *item.interval)


def _minus(a: Estimate, b: Estimate) -> Estimate:
    """Two that are independent, each side's spreads joined."""
    if None in (a.value, a.low, a.high, b.value, b.low, b.high):
        return Estimate()
    value = a.value - b.value  # type: ignore[operator]
    down = np.hypot(a.value - a.low, b.high - b.value)  # type: ignore[operator]
    up = np.hypot(a.high - a.value, b.value - b.low)  # type: ignore[operator]
    return Estimate(value, float(value - down), float(value + up))


def _scale() -> str:
    each = ", ".join(f"{v:,}" for v in vocabularies())
    return scale_of(names(STUDY)[0]).replace("vocabulary 512", f"vocabularies {each}")


def write() -> Page:
    """The page."""
    page = Page(PAGE, "Embedding ratio and vocabulary")
    page.claim(
        HAYOU,
        "muP gives the embedding a learning rate that is larger than the hidden one in proportion to width; "
        "with a vocabulary much larger than the width, the square root of the width is the better rule.",
    )
    answers(page, claims())
    if not vocabularies():
        not_run(page, STUDY)
        return page
    page.head("What was trained")
    factors = sorted(runs()[FACTOR].unique())
    page.text(
        "Under `mup-embd`, whose embedding has the hidden matrices' learning rate, one constant multiplies "
        f"the embedding's: {', '.join(f'{f:g}' for f in factors)}. Three learning rates a factor of 2 apart "
        "at every factor; the best of them counts. The bottom of each valley (loss against log2 of the "
        "factor, one a width and seed) is that of the parabola through the lowest point and its neighbours; "
        "the exponent is its slope against log2 of the width. 1 is muP's rule, 0 is SP's, 1/2 the rule for "
        "large vocabularies. The other reading fits every point within "
        f"{NEAR} nats of the best by parabolas of one curvature whose bottoms move with width. The valleys "
        "are steep on the left and flat on the right, so that reading is led by the left sides; a claim is "
        "decided only where both readings decide it alike."
    )
    _table(page)
    _figure(page)
    page.head("What would change it")
    page.text(
        "Widths of hundreds: a vocabulary is large only beside the width, and here it is already large at "
        f"{vocabularies()[-1] // int(runs()['width'].max())} times the width. Factors are 4 apart, so a best "
        "factor alone is known to an octave either way; the bottom lies between them. 150 steps "
        "show each rare token few times."
    )
    return page


def _table(page: Page) -> None:
    widths = sorted(int(w) for w in runs()["width"].unique())
    rows = []
    for v in vocabularies():
        best = best_factors(v)
        factors = " ".join(f"{best[w]:g}" for w in widths)
        rows.append((v, exponent(v), whole_valley(v), factors, given_up()[v]))
    places = ", ".join(map(str, widths))
    best_at, lost = f"best factor at widths {places}", f"given up by factor 1 at {widths[-1]}, nats"
    page.table(("vocabulary", "exponent of width", "other reading", best_at, lost), rows)


def _figure(page: Page) -> None:
    each = vocabularies()
    figure, axes = axes_of(len(each), width=2.3 * len(each) + 1, height=2.6)
    widths = sorted(int(w) for w in runs()["width"].unique())
    colours = dict(zip(widths, palette.sequence(len(widths)), strict=True))
    for panel, v in zip(axes[0], each, strict=True):
        for width in widths:
            here = valley(v)[valley(v)["width"] == width].groupby("z")["rise"]
            panel.plot(here.mean().index, here.mean(), color=colours[width], lw=1, label=f"width {width}")
            panel.vlines(here.mean().index, here.min(), here.max(), color=colours[width], lw=1)
        panel.set_title(f"vocabulary {v:,}", fontsize=9, loc="left")
        panel.set_xlabel("log2 embedding / hidden LR", fontsize=8)
        panel.set_ylim(-0.02, 2 * NEAR)
    axes[0, 0].set_ylabel("loss above the best, nats", fontsize=8)
    legend_below(figure, axes[0, 0])
    page.figure(
        figure,
        "embedding-ratio",
        "Loss against the ratio of the embedding's learning rate to the hidden one, above the best of each "
        "width: mean and range over seeds.",
    )
