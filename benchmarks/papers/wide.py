"""A model eight times wider than the largest fitted one: how did the prediction do?"""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

from hptransfer.quantify.result import Prediction
from hptransfer.report import palette
from papers.claims import Claim, Status, answers, not_run, scale_of
from papers.data import Fitted, fit_frame, names, table
from papers.page import Page, axes_of, interval, legend_below

PAGE = "eight-times-wider"
STUDY, TRAINED = "wide", "wide-1024"
TOLERANCE = 0.03  # nats: the demo's


@cache
def study() -> Fitted:
    """The widths that are fitted."""
    frame = table(STUDY)
    assert frame is not None
    return fit_frame(frame, "mup")


@cache
def wide() -> pd.DataFrame:
    """The runs at the width that was predicted."""
    return pd.concat(frame for name in names(TRAINED) if (frame := table(name)) is not None)


def there() -> bool:
    """Whether both are trained."""
    return table(STUDY) is not None and bool(names(TRAINED))


def width() -> int:
    """The width that was predicted."""
    return int(wide()["width"].max())


@cache
def predicted(variant: str) -> Prediction:
    """What the laws of the small widths say."""
    return study().fit.predict(width())[variant]


def curve(variant: str) -> pd.DataFrame:
    """The wide runs of a variant by learning rate; the loss is the mean over seeds."""
    here = wide()[wide()["variant"] == variant]
    return here.groupby("lr_mup")["loss"].mean().reset_index()


def nearest(variant: str) -> tuple[float, float]:
    """The learning rate trained nearest to the predicted one (muP coordinates), and its loss."""
    hp = predicted(variant).hp.value or np.nan
    here = curve(variant)
    i = int(np.argmin(np.abs(np.log2(here["lr_mup"] / hp))))
    return float(here["lr_mup"].iloc[i]), float(here["loss"].iloc[i])


def given_up(variant: str) -> float:
    """Loss at the predicted learning rate above the lowest of those trained, nats: the cost or less."""
    return nearest(variant)[1] - float(curve(variant)["loss"].min())


def variants() -> list[str]:
    """That were trained at the predicted width."""
    return list(wide()["variant"].unique())


@cache
def claims() -> list[Claim]:
    """What a user of a fit wants to know."""
    words = (
        "At eight times the largest fitted width, the loss lies in its predicted interval",
        "There the predicted learning rate is the best of those tried, or costs at most 0.03 nats more",
    )
    if not there():
        return [Claim("ours", text, "not run yet", "", "", PAGE) for text in words]
    scale = f"{scale_of(STUDY)}; width {width():,}: {len(wide())} runs"
    out = []
    for v in variants():
        _, loss = nearest(v)
        told = f"predicted {interval(predicted(v).loss)} nats, found {loss:.3f}"
        out.append(Claim("ours", words[0], _inside(v), told, scale, PAGE, f"`{v}`"))
    for v in variants():
        lr, _ = nearest(v)
        best = curve(v).set_index("lr_mup")["loss"].idxmin()
        told = (
            f"LR nearest to the prediction {lr:.3g}, best tried {best:.3g}; given up {given_up(v):.3f} nats"
        )
        cheap: Status = "supported" if given_up(v) <= TOLERANCE else "refuted"
        out.append(Claim("ours", words[1], cheap, told, scale, PAGE, f"`{v}`"))
    return out


def _inside(variant: str) -> Status:
    loss, item = nearest(variant)[1], predicted(variant).loss
    if item.low is None or item.high is None:
        return "not decidable at this scale"
    return "supported" if item.low <= loss <= item.high else "refuted"


def write() -> Page:
    """The page."""
    page = Page(PAGE, "Eight times wider")
    page.claim(
        "our question",
        "hptransfer predicts the learning rate and the loss of a width that nobody trained. Is that so at "
        "eight times the largest width fitted?",
    )
    answers(page, claims())
    if not there():
        not_run(page, STUDY, TRAINED)
        return page
    _told(page)
    _table(page)
    _figure(page)
    page.head("What would change it")
    page.text(
        "One seed and 200 steps. Of the wide model only the learning rates above were trained, so that what "
        "is given up is measured against the best of these; the true optimum may lie between or beyond them. "
        "At 200 steps a wide model is far from the loss that its size allows: the law of the loss is tested "
        "at equal steps, not at convergence."
    )
    return page


def _told(page: Page) -> None:
    page.head("What was trained")
    page.text(
        f"The demonstration study with products in bfloat16 ({scale_of(STUDY)}), fitted in muP coordinates; "
        f"then width {width():,} at the predicted learning rate and its neighbours. The prediction was made "
        "before the wide model was trained. *Kept*: loss at the wide model's learning rate nearest to the "
        "optimum of the smallest width, as one would have without any fit."
    )


def _table(page: Page) -> None:
    rows = []
    for v in variants():
        small = study().basins[v]
        kept = curve(v).iloc[int(np.argmin(np.abs(np.log2(curve(v)["lr_mup"]) - float(small.x[0]))))]
        rows.append(
            (
                f"`{v}`",
                predicted(v).hp,
                predicted(v).loss,
                ", ".join(f"{r.lr_mup:.3g}: {r.loss:.3f}" for r in curve(v).itertuples()),
                f"{kept['loss'] - curve(v)['loss'].min():.3f}",
            )
        )
    page.table(
        (
            "rule",
            "predicted LR (muP)",
            "predicted loss, nats",
            "found: LR and loss",
            "kept: loss above the best tried, nats",
        ),
        rows,
    )


def _figure(page: Page) -> None:
    figure, axes = axes_of(len(variants()), width=8.5, height=2.8)
    widths = [int(w) for w in study().sweep.scales]
    colours = palette.sequence(len(widths))
    frame = table(STUDY)
    assert frame is not None
    for panel, v in zip(axes[0], variants(), strict=True):
        for n, colour in zip(widths, colours, strict=True):
            here = frame[(frame["variant"] == v) & (frame["width"] == n)].groupby("lr_mup")["loss"].mean()
            panel.plot(np.log2(here.index), here, color=colour, lw=0.8, label=f"width {n}")
        found, said = curve(v), predicted(v)
        panel.plot(
            np.log2(found["lr_mup"]),
            found["loss"],
            "o-",
            ms=3,
            color=palette.ACCENT,
            label=f"width {width():,}",
        )
        if said.hp.value and said.loss.value and said.loss.low and said.loss.high:
            up = [[said.loss.value - said.loss.low], [said.loss.high - said.loss.value]]
            panel.errorbar(
                np.log2(said.hp.value),
                said.loss.value,
                yerr=up,
                fmt="x",
                color=palette.INK,
                label="predicted",
            )
        panel.set_title(v, fontsize=9, loc="left")
        panel.set_xlabel("log2 LR (muP coordinates)", fontsize=8)
        panel.set_ylim(float(found["loss"].min()) - 0.4, float(found["loss"].min()) + 2)
    axes[0, 0].set_ylabel("loss, nats", fontsize=8)
    legend_below(figure, axes[0, 0])
    page.figure(figure, "wide", f"Fitted widths, the prediction for width {width():,}, and what was found.")
