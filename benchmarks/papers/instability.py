"""Does SP's slow embedding make training unstable? Spikes, raggedness, failed runs and the edge."""

from __future__ import annotations

from functools import cache
from itertools import product

from hptransfer.quantify.result import Estimate
from hptransfer.report import palette
from hptransfer.report.dynamics_tables import mean_interval
from papers.claims import Claim, answers, judge, not_run, scale_of
from papers.cliffs import spread, spread_gap
from papers.data import decays, names, spec_of, switches_of, table, variant_of
from papers.instability_runs import (
    COLLAPSED,
    RISES,
    SEEN_SEEDS,
    SEEN_WIDTH,
    SLOW,
    STUDY,
    bumps,
    cliff_gap,
    cliffs,
    edge,
    edge_gap,
    of,
    paired,
    runs,
    variants,
    widths,
)
from papers.page import KALRA, Cell, Page, axes_of, interval, legend_below
from papers.shares import share, share_difference

PAGE = "instability"


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
            out.append(Claim(KALRA, f"{words}: {what}", judge(item), text, _scale(), PAGE, fast))
        gap = mean_interval((bumps(slow) - bumps(fast)).dropna().tolist())
        text = f"raggedness, `{slow}` minus `{fast}`: {interval(gap)} nats"
        ragged = f"{words}: ragged loss-LR curves"
        out.append(Claim(KALRA, ragged, judge(gap), text, _scale(), PAGE, fast))
        item = cliff_gap(slow, fast, RISES[1])
        text = f"cliff of `{fast}` above that of `{slow}`, fresh runs: {interval(item)} octaves"
        lower = f"{words}: the loss goes up its cliff at a lower learning rate"
        out.append(Claim(KALRA, lower, judge(item), text, _scale(), PAGE, fast))
        item = spread_gap(cliffs(slow, RISES[1]), cliffs(fast, RISES[1]))
        text = f"log2 of the spread of `{slow}` over that of `{fast}`: {interval(item)}"
        part = f"{words}: where the cliff is depends more on the seed"
        out.append(Claim(KALRA, part, judge(item), text, _scale(), PAGE, fast))
        lower, item = f"{words}: runs fail from a lower learning rate on", edge_gap(slow, fast)
        text = f"edge of `{fast}` above that of `{slow}`: {interval(item)} octaves"
        out.append(Claim(KALRA, lower, judge(item), text, _scale(), PAGE, fast))
    return out


def _scale() -> str:
    return scale_of(*names(STUDY))


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
    page.text(
        "A run fails outright only far above the best learning rate. Before that, the loss goes up a "
        "*cliff*: the critical learning rate is where the curve of a seed, right of its lowest loss, first "
        f"lies {RISES[1]:g} nats above it (on straight lines between the learning rates trained). This "
        f"measure was chosen after looking at seeds {' and '.join(map(str, SEEN_SEEDS))} up to width "
        f"{SEEN_WIDTH}; the answer about where the cliff is rests on the {_fresh_curves()} curves of each "
        "variant that were trained afterwards."
    )


def _fresh_curves() -> int:
    curves = cliffs(SLOW[0][0], RISES[1]).index.to_frame()
    return int((~(curves["seed"].isin(SEEN_SEEDS) & (curves["width"] <= SEEN_WIDTH))).sum())


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
    rows: list[tuple[Cell, ...]] = []
    for variant, width in product(variants(), widths()):
        here = of(variant, width)
        rows.append(
            (
                f"`{variant}`",
                width,
                len(here),
                share(int(here["diverged"].sum()), len(here)),
                share(int(here["collapsed"].sum()), len(here)),
                share(int((here["spikes"] > 0).sum()), len(here)),
                mean_interval(cliffs(variant, RISES[1]).xs(width).tolist()),
                edge(variant, width),
            )
        )
    ends = ("cliff, log2 LR (muP)", "edge, log2 LR (muP)")
    page.table(("variant", "width", "runs", "diverged", "collapsed", "with a spike", *ends), rows)
    noises = [
        (
            f"`{v}`",
            mean_interval(of(v)["spikes"].tolist()),
            mean_interval(bumps(v).tolist()),
            spread(cliffs(v, RISES[1]))[0],
        )
        for v in variants()
    ]
    spread_of = "spread of the cliff over seeds, octaves"
    page.table(("variant", "spikes a run", "raggedness, nats", spread_of), noises)
    _cliff_table(page)


def _cliff_table(page: Page) -> None:
    page.text(
        "Octaves by which a fast embedding's cliff lies above a slow one's, by the height of the cliff:"
    )
    rows: list[tuple[Cell, ...]] = [
        (
            f"{rise:g}",
            f"`{fast}` above `{slow}`",
            *(cliff_gap(slow, fast, rise, fresh=fresh) for fresh in (True, False)),
        )
        for slow, fast in SLOW
        for rise in RISES
    ]
    page.table(("rise, nats", "pair", "fresh curves", "all curves"), rows)


def _figure(page: Page) -> None:
    figure, axes = axes_of(len(widths()), 1, width=8.5, height=2.6)
    fast = {pair[1] for pair in SLOW}
    for panel, width in zip(axes[0], widths(), strict=True):
        for variant in variants():
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
