"""The runs of the study of instability, and what is measured on them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

from hptransfer.dynamics.spikes import raggedness
from hptransfer.quantify.result import Estimate
from hptransfer.report.dynamics_tables import mean_interval
from papers.cliffs import critical
from papers.data import names, spec_of, table
from papers.shares import failure_edge

STUDY = "instability"  # and studies whose names begin so
SLOW = (("sp", "sp+embd"), ("mup-embd", "mup"))  # slow embedding, fast embedding
COLLAPSED = 0.05  # nats below the unigram entropy, above which a run's loss says it has learned nothing more
# Nats above the lowest loss of a curve at which its cliff is; claims are judged by the second.
RISES = (0.25, 0.5, 1.0)
# What had been looked at when the measure of the cliff was chosen: these seeds up to this width.
SEEN_SEEDS, SEEN_WIDTH = (0, 1), 96
NOTHING = Estimate()


@cache
def runs() -> pd.DataFrame:
    """All runs with what became of each."""
    frames = [frame for name in names(STUDY) if (frame := table(name)) is not None]
    frame = pd.concat(frames)
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


@cache
def cliffs(variant: str, rise: float) -> pd.Series:
    """log2 of the critical learning rate of each curve of a variant, muP coordinates, by width and seed."""
    return critical(of(variant), rise)


def cliff_gap(slow: str, fast: str, rise: float, *, fresh: bool = True) -> Estimate:
    """Octaves by which the fast embedding's cliff lies above the slow one's, paired by width and seed.

    Fresh curves are those that had not been looked at when the measure was chosen.
    """
    gaps = (cliffs(fast, rise) - cliffs(slow, rise)).dropna()
    width, seed = (gaps.index.get_level_values(i) for i in range(2))
    seen = seed.isin(SEEN_SEEDS) & (width <= SEEN_WIDTH)
    return mean_interval(gaps[~seen | (not fresh)].tolist())


def edge_gap(slow: str, fast: str) -> Estimate:
    """Octaves by which the fast embedding's edge lies above the slow one's, mean over widths."""
    both = [(edge(slow, w), edge(fast, w)) for w in widths()]
    known = [(a, b) for a, b in both if None not in (a.low, a.high, b.low, b.high)]
    if not known:
        return NOTHING
    gap = float(np.mean([b.value - a.value for a, b in known]))  # type: ignore[operator]
    ends = [e.high - e.low for pair in known for e in pair]  # type: ignore[operator]
    side = float(np.sqrt(np.sum(np.square(ends)))) / 2 / len(known)
    return Estimate(gap, gap - side, gap + side)


def bumps(variant: str) -> pd.Series:
    """Raggedness of every loss-LR curve of a variant up to where runs fail, nats, by width and seed."""
    curves = of(variant).sort_values("x").groupby(["width", "seed"])
    found = {key: raggedness(c["loss"].where(~c["failed"]).to_numpy()) for key, c in curves}
    return pd.Series(found, dtype=float).dropna()


def paired(slow: str, fast: str, column: str) -> Estimate:
    """Slow minus fast embedding, runs of the same width, learning rate and seed paired."""
    key = ["width", "x", "seed"]
    both = of(slow).merge(of(fast), on=key, suffixes=("", "_fast"))
    return mean_interval((both[column].astype(float) - both[f"{column}_fast"].astype(float)).tolist())


def variants() -> list[str]:
    """Of the study, in its order."""
    return list(dict.fromkeys(runs()["variant"]))


def widths() -> list[int]:
    """Of the study, the smallest first."""
    return [int(w) for w in sorted(runs()["width"].unique())]
