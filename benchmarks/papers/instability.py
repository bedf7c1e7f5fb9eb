"""Does SP's slow embedding make training unstable? Spikes, raggedness, failed runs and the edge."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
import pandas as pd

from hptransfer.dynamics.spikes import raggedness
from hptransfer.quantify.result import Estimate
from hptransfer.report import palette
from hptransfer.report.dynamics_tables import mean_interval
from papers.claims import Claim, answers, judge, not_run, scale_of
from papers.data import decays, spec_of, switches_of, table, variant_of
from papers.page import KALRA, Cell, Page, axes_of, interval, legend_below
from papers.shares import failure_edge, share, share_difference

PAGE = "instability"
STUDY = "instability"
SLOW = (("sp", "sp+embd"), ("mup-embd", "mup"))  # slow embedding, fast embedding
COLLAPSED = 0.05  # nats below the unigram entropy, above which a run's loss says it has learned nothing more
NOTHING = Estimate()


@cache
def runs() -> pd.DataFrame:
    """The study's runs with what became of each."""
    frame = table(STUDY)
    assert frame is not None
    entropy = float(spec_of(STUDY)["unigram_entropy"])  # type: ignore[arg-type]
    diverged = frame["status"] != "done"
    collapsed = ~diverged & (frame["loss"] > entropy - COLLAPSED)
    return frame.assign(
        diverged=diverged, collapsed=collapsed, failed=diverged | collapsed, x=np.log2(frame["lr_mup"])
    )


def of(variant: str, width: int | None = None) -> pd.DataFrame:
    """The runs of one variant, and of one width."""
    frame = runs()
    return frame[(frame["variant"] == variant) & ((frame["width"] == width) | (width is None))]


def edge(variant: str, width: int) -> Estimate:
    """log2 of the learning rate at which half of the runs fail, muP coordinates."""
    here = of(variant, width)
    return failure_edge(here["x"].to_numpy(), here["failed"].to_numpy())


def edge_gap(slow: str, fast: str) -> Estimate:
    """Octaves by which the fast embedding's edge lies above the slow one's, mean over widths."""
    both = [(edge(slow, w), edge(fast, w)) for w in _widths()]
    known = [(a, b) for a, b in both if None not in (a.low, a.high, b.low, b.high)]
    if not known:
        return NOTHING
    gap = float(np.mean([b.value - a.value for a, b in known]))  # type: ignore[operator]
    ends = [e.high - e.low for pair in known for e in pair]  # type: ignore[operator]
    side = float(np.sqrt(np.sum(np.square(ends)))) / 2 / len(known)
    return Estimate(gap, gap - side, gap + side)


def bumps(variant: str) -> list[float]:
    """Raggedness of every loss-LR curve of a variant up to where runs fail, nats, a width and seed each."""
    found = []
    for _, curve in of(variant).sort_values("x").groupby(["width", "seed"]):
        value = raggedness(curve["loss"].where(~curve["failed"]).to_numpy())
        found += [value] if np.isfinite(value) else []
    return found


def paired(slow: str, fast: str, column: str) -> Estimate:
    """Slow minus fast embedding, runs of the same width, learning rate and seed paired."""
    key = ["width", "x", "seed"]
    both = of(slow).merge(of(fast), on=key, suffixes=("", "_fast"))
    return mean_interval((both[column].astype(float) - both[f"{column}_fast"].astype(float)).tolist())


def seeds_apart(variant: str) -> float:
    """Median over cells of the distance between seeds in the octave below the edge, nats."""
    apart = []
    for width in sorted(runs()["width"].unique()):
        here, top = of(variant, int(width)), edge(variant, int(width)).value
        near = here[(here["x"] > (top or 0.0) - 1.0) & ~here["failed"]]
        spread = near.groupby("x")["loss"].agg(lambda s: s.max() - s.min() if len(s) > 1 else np.nan)
        apart += spread.dropna().tolist()
    return float(np.median(apart)) if apart else float("nan")


@cache
def claims() -> list[Claim]:
    """Claim 2 of the paper, in the harder study and in the 16 parametrizations."""
    words = "SP's slow embedding makes training unstable"
    out = _claims_of_spikes()
    if table(STUDY) is None:
        return [
            *out,
            Claim(KALRA, f"{words}: more spikes, failed runs, ragged curves", "not run yet", "", "", PAGE),
        ]
    for slow, fast in SLOW:
        for what, column in (("spikes a run", "spikes"), ("share of failed runs", "failed")):
            item = paired(slow, fast, column)
            text = f"{what}, `{slow}` minus `{fast}`: {interval(item)}"
            out.append(Claim(KALRA, f"{words}: {what}", judge(item), text, scale_of(STUDY), PAGE, fast))
        more, less = bumps(slow), bumps(fast)
        gap = mean_interval([a - b for a, b in zip(more, less, strict=False)])
        text = f"raggedness, `{slow}` minus `{fast}`: {interval(gap)} nats"
        ragged = f"{words}: ragged loss-LR curves"
        out.append(Claim(KALRA, ragged, judge(gap), text, scale_of(STUDY), PAGE, fast))
        lower, item = f"{words}: runs fail from a lower learning rate on", edge_gap(slow, fast)
        text = f"edge of `{fast}` above that of `{slow}`: {interval(item)} octaves"
        out.append(Claim(KALRA, lower, judge(item), text, scale_of(STUDY), PAGE, fast))
    return out


def _claims_of_spikes() -> list[Claim]:
    out = []
    for decay, name in decays().items():
        item = _spiking_difference(name, decay)
        text = f"share of runs with a spike, slow minus fast embedding: {interval(item)}"
        words = "A slow embedding brings loss spikes, even with warmup"
        out.append(Claim(KALRA, words, judge(item), text, scale_of(name), PAGE, f"weight decay {decay:g}"))
    return out


def _spiking(name: str, decay: float, embd: bool) -> tuple[int, int]:
    """Runs with a spike, and runs, above the base width in the variants with or without a fast embedding."""
    frame = table(name)
    assert frame is not None
    here = [v for v in frame["variant"].unique() if ("embd" in switches_of(v.split(" wd=")[0])) == embd]
    assert variant_of("sp", decay) in {*frame["variant"]}
    chosen = frame[frame["variant"].isin(here) & (frame["width"] > 32)]
    return int((chosen["spikes"] > 0).sum()), len(chosen)


def _spiking_difference(name: str, decay: float) -> Estimate:
    slow, fast = _spiking(name, decay, False), _spiking(name, decay, True)
    return share_difference((slow[0], fast[0]), (slow[1], fast[1]))


def write() -> Page:
    """The page."""
    page = Page(PAGE, "Instability")
    page.claim(
        KALRA,
        "In SP the embedding's learning rate is a bottleneck that makes training unstable (spikes, ragged "
        "loss-LR curves); raised by the width ratio, training becomes smooth.",
    )
    answers(page, claims())
    if table(STUDY) is None:
        _spike_table(page)
        page.head("The harder regime")
        not_run(page, STUDY)
        return page
    _bounds(page)
    _figure(page)
    _rule(page)
    _tables(page)
    _spike_table(page)
    page.head("What would change it")
    page.text(
        "Longer training, larger vocabularies and wider models, where the ratio of the two embedding "
        "learning rates is "
        f"larger: here it is at most {int(runs()['width'].max()) // _base()}. A difference smaller than the "
        "intervals above is not excluded; a larger one is."
    )
    return page


def _base() -> int:
    """The base width: where slow and fast embeddings are alike."""
    spec = spec_of(STUDY)["spec"]
    assert isinstance(spec, dict)
    return int(spec.get("base_width", min(spec["widths"])))


def _spike_table(page: Page) -> None:
    if not decays():
        return
    page.head("Spikes in the 16 parametrizations")
    page.text(
        "Runs at widths above the base (64 and 128), where `embd` raises the embedding's learning rate, "
        "eight variants with a slow and eight with a fast embedding; a fifth of the steps is warmup. A spike "
        "is an excursion of the training loss above its recent median by six times its noise and 0.1 nats."
    )
    rows: list[tuple[Cell, ...]] = []
    for decay, name in decays().items():
        counts = [_spiking(name, decay, embd) for embd in (False, True)]
        rows.append((f"{decay:g}", *(share(*c) for c in counts), _spiking_difference(name, decay)))
    page.table(
        ("weight decay", "slow embedding: runs with a spike", "fast embedding", "slow minus fast"), rows
    )


def _bounds(page: Page) -> None:
    spikes, failed = (max(_limit(paired(s, f, column)) for s, f in SLOW) for column in ("spikes", "failed"))
    lower = max(_limit(edge_gap(s, f)) for s, f in SLOW)
    page.text(
        "Bounded from above: in this regime a slow embedding brings at most "
        f"{spikes:.2f} more spikes a run, fails at most {failed:.0%} more of the runs, and has its edge at "
        f"most {lower:.1f} octaves lower (the upper ends of the 95% intervals, the larger of the two pairs)."
    )


def _limit(item: Estimate) -> float:
    return float("nan") if item.high is None else item.high


def _rule(page: Page) -> None:
    page.head("What counts as failed")
    entropy = float(spec_of(STUDY)["unigram_entropy"])  # type: ignore[arg-type]
    page.text(
        "A run *diverged* if its loss is not finite or ends above the loss at initialisation. A run "
        "*collapsed* if it did not diverge and yet ended no better than a model that knows only how frequent "
        "each token is: within "
        f"{COLLAPSED} nats of the unigram entropy of the held-out text, {entropy:.3f} nats here, or above "
        "it. Such a run never rises above its first loss, so a rule about divergence alone counts it as "
        "trained. *Failed* is either. The edge is the learning rate at which half of the runs fail (a "
        "logistic curve in log LR)."
    )


def _tables(page: Page) -> None:
    page.head("By variant and width")
    rows = []
    for variant, width in product(_variants(), _widths()):
        here = of(variant, width)
        rows.append(
            (
                f"`{variant}`",
                width,
                len(here),
                share(int(here["diverged"].sum()), len(here)),
                share(int(here["collapsed"].sum()), len(here)),
                share(int((here["spikes"] > 0).sum()), len(here)),
                edge(variant, width),
            )
        )
    page.table(
        ("variant", "width", "runs", "diverged", "collapsed", "with a spike", "edge, log2 LR (muP)"), rows
    )
    noises = [
        (f"`{v}`", mean_interval(of(v)["spikes"].tolist()), mean_interval(bumps(v)), seeds_apart(v))
        for v in _variants()
    ]
    page.table(("variant", "spikes a run", "raggedness, nats", "seeds apart below the edge, nats"), noises)


def _variants() -> list[str]:
    return list(runs()["variant"].unique())


def _widths() -> list[int]:
    return [int(w) for w in sorted(runs()["width"].unique())]


def _figure(page: Page) -> None:
    figure, axes = axes_of(len(_widths()), 1, width=8.5, height=2.6)
    fast = {pair[1] for pair in SLOW}
    for panel, width in zip(axes[0], _widths(), strict=True):
        for variant in _variants():
            here = of(variant, width).groupby("x")["loss"]
            middle = here.mean()
            colour, style = (
                palette.ACCENT if variant in fast else palette.INK,
                ":" if "mup" in variant else "-",
            )
            panel.plot(middle.index, middle, color=colour, ls=style, lw=1, label=variant)
            panel.vlines(middle.index, here.min(), here.max(), color=colour, lw=1)
        panel.set_title(f"width {width}", fontsize=9, loc="left")
        panel.set_xlabel("log2 LR (muP coordinates)", fontsize=8)
    axes[0, 0].set_ylabel("loss, nats", fontsize=8)
    legend_below(figure, axes[0, 0])
    page.figure(
        figure,
        "instability",
        "Loss against learning rate: mean over seeds, and the seeds' range; fast embeddings in orange.",
    )
