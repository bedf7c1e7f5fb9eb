"""The ablations of arXiv:2404.05728: does the learning rate still carry over width?"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import pandas as pd

from hptransfer.quantify.result import Estimate
from hptransfer.report import palette
from hptransfer.study.paper_presets import LINGLE_ABLATIONS, Ablation
from papers.claims import Claim, Status, answers, judge, not_run, scale_of
from papers.data import PUBLISHED, Draws, Fitted, fit_frame, names, spec_of, table
from papers.page import LINGLE, Page, axes_of, forest, interval

PAGE = "ablations"
PAPER_BATCH, TINY_BATCH = 1024, 8  # of the baseline, sequences: his, and that of the preset's size `tiny`
TOLERANCE = 0.01  # nats; a cost that counts as none
COARSE = 2  # octaves between the learning rates that he tried
# Further runs of his scripts, by the ablation of the preset that they change.
FURTHER: Mapping[str, str] = {
    "decay-independent-1e-3": "decay-independent",
    "decay-independent-1e-5": "decay-independent",
    "lion-abs": "lion",
    "large-no-decay": "large-scale",
}
LONG = "-long"  # ends the name of an ablation trained four times as long
LONGER = ("baseline", "gains-vector", "gains-scalar", "sp-attention", "decay-coupled", "lion")
TITLES: Mapping[str, str] = {  # our names by those of the published table
    "baseline muP": "baseline",
    "projection biases": "biases",
    "zero query init": "zero-query",
    "cosine schedule": "cosine",
    "embedding normalization": "embedding-norm",
    "SP unembedding init": "sp-readout",
    "multi-query attention": "multi-query",
    "SwiGLU": "swiglu",
    "squared ReLU": "relu2",
    "4x larger batch": "batch-x4",
    "4x smaller batch": "batch-div4",
    "large-scale (L=12)": "large-scale",
    "RMSNorm gains vector": "gains-vector",
    "RMSNorm gains scalar": "gains-scalar",
    "decoupled weight decay 0.1": "decay-coupled",
    "SP attention scale 1/sqrt(D)": "sp-attention",
    "Lion": "lion",
    "SP": "sp",
}


def ran() -> list[str]:
    """Ablations whose table is there, in the preset's order."""
    there = {name.removeprefix("lingle-") for name in names("lingle-")}
    known = (*LINGLE_ABLATIONS, *FURTHER, *(name + LONG for name in LONGER))
    return [name for name in known if name in there]


def setting(ablation: str) -> Ablation:
    """What the preset changes for it."""
    short = ablation.removesuffix(LONG)
    return LINGLE_ABLATIONS[FURTHER.get(short, short)]


def is_sp(ablation: str) -> bool:
    """Whether its learning rate is SP's, the same number for every tensor."""
    return setting(ablation).rule == "sp"


@cache
def study(sp: bool) -> Fitted:
    """All ablations fitted together, those of SP in SP coordinates, the others in muP coordinates."""
    return fit_frame(pd.concat(runs(a) for a in ran() if is_sp(a) == sp), "sp" if sp else "mup")


def runs(ablation: str) -> pd.DataFrame:
    """The runs of one ablation, named after it."""
    frame = table(f"lingle-{ablation}")
    assert frame is not None
    return frame.assign(variant=ablation)


def keeping(ablation: str) -> Draws | None:
    """What it costs at the largest width to keep the smallest width's learning rate, nats."""
    return study(is_sp(ablation)).keeping(ablation)


def best_places(ablation: str, seed: int | None = None) -> dict[int, int]:
    """By width, log2 of the best learning rate on the even powers of 2, his grid; of a seed or the mean."""
    frame = runs(ablation)
    frame = frame if seed is None else frame[frame["seed"] == seed]
    column = "lr" if is_sp(ablation) else "lr_mup"
    place = np.round(np.log2(frame[column])).astype(int)
    frame = frame.assign(place=place, loss=frame["loss"].fillna(np.inf))[place % COARSE == 0]
    mean = frame.groupby(["width", "place"])["loss"].mean()
    return {int(width): int(of.droplevel(0).idxmin()) for width, of in mean.groupby(level=0)}


def same_place(ablation: str, seed: int | None = None) -> bool:
    """Whether one value is best at every width."""
    return len(set(best_places(ablation, seed).values())) == 1


@cache
def verdicts() -> dict[str, str]:
    """His verdicts, yes or no, by our name; empty without the file."""
    path = PUBLISHED / "lingle_transfer_flags.csv"
    if not path.exists():
        return {}
    frame = pd.read_csv(path)
    return {TITLES[title]: flag for title, flag in zip(frame["ablation"], frame["transfers"], strict=True)}


def unchanged(ablation: str) -> str:
    """Why our runs do not test an ablation: what the preset's size sets again; empty where they do."""
    spec = spec_of(f"lingle-{ablation}")["spec"]
    assert isinstance(spec, dict)
    wanted = setting(ablation).train.get("batch_size", PAPER_BATCH)
    got = spec["train"].get("batch_size", TINY_BATCH)
    if wanted == PAPER_BATCH or got != TINY_BATCH:
        return ""
    if not ablation.startswith("batch"):
        return f"trained at the baseline's batch of {got}"
    return f"trained at batch {got} like the baseline, so that only betas and eps differ"


def _claim(ablation: str) -> Claim | None:
    """His verdict on an ablation, tried on our short or our long runs of it."""
    short = ablation.removesuffix(LONG)
    says = verdicts().get(short)
    title = next((t for t, name in TITLES.items() if name == short), None)
    if says is None or title is None:
        return None
    words = f"{title}: the learning rate {'transfers' if says == 'yes' else 'does not transfer'}"
    if ablation not in ran():
        return Claim(LINGLE, words, "not run yet", "", "", PAGE)
    cost = keeping(ablation)
    status: Status = judge(cost, TOLERANCE, above=says == "no")
    if unchanged(ablation) and ablation.startswith("batch"):
        status = "not run yet"
    evidence = (
        f"keeping costs {interval(cost)} nats; best place on his grid by width, log2: {_moves(ablation)}"
    )
    if unchanged(ablation):
        evidence += f"; {unchanged(ablation)}"
    case = f"{_steps(ablation):,} steps" if short + LONG in ran() else ""
    return Claim(LINGLE, words, status, evidence, scale_of(f"lingle-{ablation}"), PAGE, case)


def _steps(ablation: str) -> int:
    spec = spec_of(f"lingle-{ablation}")["spec"]
    assert isinstance(spec, dict)
    return int(spec["train"]["steps"])


def _moves(ablation: str) -> str:
    places = best_places(ablation)
    return " ".join(f"{p}" for p in places.values())


@cache
def claims() -> list[Claim]:
    """His verdicts, and the one about the majority."""
    tried = [*LINGLE_ABLATIONS, *(name for name in ran() if name.endswith(LONG))]
    each = [claim for name in tried if (claim := _claim(name)) is not None]
    if not ran():
        return each
    return [*each, *_cosine()]


def _cosine() -> list[Claim]:
    if not {"baseline", "cosine"} <= {*ran()}:
        return []
    worse = _loss("cosine") - _loss("baseline")
    text = f"loss at the largest width, cosine minus linear: {interval(worse)} nats"
    words = "The cosine schedule ends at a slightly higher loss than the linear one"
    return [Claim(LINGLE, words, judge(worse), text, scale_of("lingle-cosine"), PAGE)]


def _loss(ablation: str) -> Draws:
    b = study(is_sp(ablation)).pooled[ablation]
    return Draws(float(b.loss[-1]), b.loss_draws[:, -1])


def write() -> Page:
    """The page."""
    page = Page(PAGE, "Lingle's ablations of muP")
    page.claim(
        LINGLE,
        "muP carries the best learning rate from small to large transformers in most of the settings that "
        "people use; it fails with trainable gains of the norms, attention scaled by 1/sqrt(d), coupled "
        "weight decay of 0.1, Lion, and of course without muP. (First version; later ones name only gains "
        "and attention as failures, and decay as a caution.)",
    )
    if not ran():
        not_run(page, "lingle-baseline", "...")
        return page
    page.text(
        "He judged by whether the best of the learning rates 2^-10, 2^-8 ... 2^-2 is the same at widths 128, "
        "512 and 2,048, one seed each. On a grid of factor 4 a drift of an octave is often not seen, and a "
        "flat curve moves its best place by chance; so each ablation is judged here by what it costs as "
        "well: the loss given up at the "
        f"largest width when the smallest width's optimum is kept, against {TOLERANCE} nats. SP is judged in "
        "its own learning rate, the others in muP's base learning rate."
    )
    answers(page, claims())
    _figure(page)
    _table(page)
    page.head("What would change it")
    page.text(
        "He trained 24 layers at widths 128 to 2,048 for 125,000 steps; a failure that needs long training "
        "(weight decay acts over thousands of steps, gains move slowly) need not show in the "
        f"{_steps(ran()[0])} steps of ours. Where we say that a failure is refuted, it is refuted at this "
        "scale only."
    )
    return page


def _table(page: Page) -> None:
    page.head("Every ablation")
    rows = []
    for name in ran():
        f = study(is_sp(name))
        answer = judge(keeping(name), TOLERANCE, above=False)
        by_cost = {"supported": "transfers", "refuted": "does not"}.get(answer, "not known")
        seeds = sorted(runs(name)["seed"].unique())
        agree = sum(same_place(name, int(seed)) for seed in seeds)
        by_place = f"{'yes' if same_place(name) else 'no'} ({agree} of {len(seeds)} seeds alone)"
        rows.append(
            (
                f"`{name}`",
                f.shift(name),
                keeping(name),
                by_cost,
                by_place,
                _moves(name),
                verdicts().get(name.removesuffix(LONG), ""),
            )
        )
    page.table(
        (
            "ablation",
            "optimum's shift, octaves",
            "cost of keeping, nats",
            "by cost",
            "same best place",
            "best place by width, log2",
            "he found",
        ),
        rows,
    )
    page.text(
        f"Widths {', '.join(map(str, best_places(ran()[0])))}. "
        "`sp` and `sp-gpt` are in SP's learning rate. Without a verdict: runs of his scripts that his table "
        "does not have. `lion-abs` is Lion under his rule without base width (the embedding's learning rate "
        "is d times the hidden one; his further 1/4 on the MLP's output is left out). `large-no-decay` is "
        "the large run without decay. Where nothing is shown, no optimum lies inside the rates tried. "
        f"Names that end in `{LONG}` were trained four times as long."
    )
    _agreement(page)


def _agreement(page: Page) -> None:
    known = [name for name in ran() if name in verdicts()]
    place = sum(same_place(name) == (verdicts()[name] == "yes") for name in known)
    costs = {name: judge(keeping(name), TOLERANCE, above=False) for name in known}
    settled = [name for name, status in costs.items() if status in ("supported", "refuted")]
    cost = sum((costs[name] == "supported") == (verdicts()[name] == "yes") for name in settled)
    page.text(
        f"Judged by the best place on his grid, {place} of {len(known)} of our verdicts agree with his; "
        "judged by "
        f"cost, {cost} of the {len(settled)} that are settled. Our two judgements of the same runs agree in "
        f"{sum((costs[n] == 'supported') == same_place(n) for n in settled)} of {len(settled)}."
    )


def _figure(page: Page) -> None:
    figure, axes = axes_of(2, width=8.0, height=0.22 * len(ran()) + 1)
    for panel, title, quantity in (
        (axes[0, 0], "optimum's shift, octaves", [study(is_sp(n)).shift(n) for n in ran()]),
        (axes[0, 1], "cost of keeping, nats", [keeping(n) for n in ran()]),
    ):
        items = [None if q is None else Estimate(q.value, *q.interval) for q in quantity]
        forest(panel, ran(), [("ours", palette.INK, items)])
        panel.set_title(title, fontsize=9, loc="left")
    axes[0, 1].axvline(TOLERANCE, lw=0.8, ls="--", color=palette.ACCENT)
    axes[0, 1].set_xscale("symlog", linthresh=TOLERANCE)
    page.figure(
        figure,
        "ablations",
        "Shift of the optimum from the smallest to the largest width, and what keeping it costs.",
    )
